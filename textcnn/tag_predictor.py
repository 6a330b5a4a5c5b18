"""A fitted tagger with its text side: all that tagging needs, on NumPy and the kernels alone."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np

from textcnn._threads import effective_n_threads
from textcnn.io import (
    ModelFileError,
    checked_kind,
    checked_params,
    load_arrays,
    readable,
    refused,
    save_arrays,
)
from textcnn.nn.crf import CHAIN, HEADS, SequenceDecoder
from textcnn.nn.inference import LARGEST_OUTPUT, check_outputs
from textcnn.nn.tagging_cnn import JOINS, KERNEL_SIZE, TaggerLayout, TaggingCNN, TokenLayout, TokenNetwork
from textcnn.nn.window_linear import PAIR_WINDOW, WINDOW, WindowLinear
from textcnn.text.inputs import as_sentences
from textcnn.text.tags import OUTSIDE, InnerTags, allowed_transitions, convert
from textcnn.text.token_features import EncodedTokens, TokenEncoder
from textcnn.text.tokenizer import Tokens, sentence_bounds, tokenize

# Tokens that are encoded and decoded at once, about; a longer sentence is taken as a whole.
TOKENS_PER_CHUNK = 65536

ANALYZERS = ("word", "char")
LINE_END = re.compile(r"\n")
BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
SENTENCES = ("split", "line")

# Dilated layers of a file, and products of channels in all of them: a short text takes far below a second.
MOST_LAYERS = 10_000
MOST_PRODUCTS = 2**27
FAMILY = "tagger"
INNER_LETTERS = {"BIO": "BI", "BIOES": "BIES"}

Layout = TypeVar("Layout", bound=TokenLayout)


class TokenSpan(NamedTuple):
    """A span of tokens.

    Attributes
    ----------
    label : str
    start, stop : int
        The tokens from `start` to ``stop - 1``.
    probability : float
        Exact probability that these tokens, and no more, are a span with this label.
    """

    label: str
    start: int
    stop: int
    probability: float


class TaggedSpan(NamedTuple):
    """A span of a text.

    Attributes
    ----------
    label : str
    start, stop : int
        The characters from `start` to ``stop - 1``.
    text : str
    probability : float
        Exact probability that this, and no more, is a span with this label.
    """

    label: str
    start: int
    stop: int
    text: str
    probability: float


@dataclass(frozen=True, eq=False)
class TaggedText(Sequence[TaggedSpan]):
    """The spans of a text, in its order; a notebook shows them in colour.

    With plain tags, such as parts of speech, every token is a span.

    Attributes
    ----------
    text : str
    spans : list of TaggedSpan
    tokens : list of str
    token_starts, token_stops : list of int
        Characters of each token.
    tags : list of str
        Tag of each token.
    sentences : list of (int, int)
        First token of each sentence, and the one behind its last.
    """

    text: str
    spans: list[TaggedSpan]
    tokens: list[str]
    token_starts: list[int]
    token_stops: list[int]
    tags: list[str]
    sentences: list[tuple[int, int]]

    def __len__(self) -> int:
        return len(self.spans)

    @overload
    def __getitem__(self, index: int) -> TaggedSpan: ...
    @overload
    def __getitem__(self, index: slice) -> list[TaggedSpan]: ...
    def __getitem__(self, index: int | slice) -> TaggedSpan | list[TaggedSpan]:
        return self.spans[index]

    def __repr__(self) -> str:
        return repr(self.spans)

    def _repr_html_(self) -> str:
        from textcnn.display import spans_to_html

        return spans_to_html(self.text, self.spans)


class TagPredictor:
    """The runtime of a fitted tagger.

    It imports neither scikit-learn nor SciPy. `textcnn.load` makes one from a model file;
    `TextCNNTagger` holds one and delegates to it. Any number of threads may share it.

    Parameters
    ----------
    encoder : TokenEncoder
    network : TokenNetwork
    tags : InnerTags
        The user's tags, and those that the network scores.
    analyzer : {"word", "char"}
        How a text that is a str is cut into tokens.
    linear : WindowLinear, default=None
        The linear part, if there is one.
    share : float, default=0.0
        Its share in the scores: ``(1 - share) * network + share * linear``.
    n_jobs : int, default=None
        Threads; None for what OpenMP may use here.

    Examples
    --------
    >>> import textcnn
    >>> tagger = textcnn.load("ner.textcnn")  # doctest: +SKIP
    >>> tagger.predict([["Ms.", "Haag", "smiled"]])  # doctest: +SKIP
    [['O', 'B-PER', 'O']]
    """

    def __init__(
        self,
        encoder: TokenEncoder,
        network: TokenNetwork,
        tags: InnerTags,
        analyzer: str,
        linear: WindowLinear | None = None,
        share: float = 0.0,
        n_jobs: int | None = None,
    ) -> None:
        self.encoder = encoder
        self.network = network
        self.tags = tags
        self.analyzer = analyzer
        self.linear = linear
        self.share = share
        self.n_jobs = n_jobs
        self._prepare()

    def _prepare(self) -> None:
        self._inference = self.network.inference(self.linear, self.share)
        # Which inner tags may begin a sentence, follow each other, and end a sentence.
        masks = allowed_transitions(self.tags.inner_tags, self.tags.inner_scheme)
        transitions, start, stop = (self._inference.chain(name) for name in CHAIN)
        self._decoder = SequenceDecoder(self.network.layout.head, transitions, start, stop, *masks)

    # ---- what is known of the tags ----------------------------------------------------------------

    @property
    def classes_(self) -> np.ndarray:
        """The user's tags, sorted; those of a span scheme complete for each label."""
        return np.array(self.tags.tags, dtype=object)

    @property
    def scheme(self) -> str | None:
        """Scheme of the user's tags, or None for plain tags."""
        return self.tags.scheme

    @property
    def labels(self) -> list[str]:
        """Labels of the spans; the tags themselves if they are plain."""
        return list(self.tags.tags) if self.scheme is None else list(self.tags.labels)

    @property
    def marginal_tags(self) -> list[str]:
        """Names of the columns of `predict_marginals`.

        The user's tags; but where such a tag depends on more than the tag that the network scores, as with
        IOB1, those of the BIO scheme.
        """
        return self._marginal_columns()[0]

    # ---- prediction -------------------------------------------------------------------------------

    def predict(self, X: Any) -> list[list[str]]:
        """Tags of each sentence.

        Parameters
        ----------
        X : list of n_sentences lists of str, or of str, which are cut into tokens

        Returns
        -------
        list of lists of str
        """
        names = self.classes_
        tagged: list[list[str]] = []
        for encoded, emissions, n_threads in self._scored(self._sentences(X)):
            ids = self._decoder.best(emissions, encoded.offsets, n_threads)
            flat = names[self.tags.decode(ids, encoded.offsets)].tolist()
            tagged += [flat[first:last] for first, last in pairwise(encoded.offsets.tolist())]
        return tagged

    def predict_marginals(self, X: Any) -> list[np.ndarray]:
        """Probability of each tag at each token.

        Parameters
        ----------
        X : as in `predict`

        Returns
        -------
        list of float32 ndarray of shape (n_tokens, n_tags)
            In the order of `marginal_tags`. With a random field the tags of a sentence depend on each
            other; these are the exact marginals.
        """
        _, columns = self._marginal_columns()
        found: list[np.ndarray] = []
        for encoded, emissions, n_threads in self._scored(self._sentences(X)):
            marginals = self._decoder.marginals(emissions, encoded.offsets, n_threads)
            if columns is not None:
                marginals = np.minimum(marginals @ columns, 1)
            found += [marginals[first:last] for first, last in pairwise(encoded.offsets.tolist())]
        return found

    def transform(self, X: Any) -> list[np.ndarray]:
        """Features of each token in its sentence: what the output layer of the network sees.

        Parameters
        ----------
        X : as in `predict`

        Returns
        -------
        list of float32 ndarray of shape (n_tokens, n_features)
            The outputs of the last layer, or of the body; with ``join="concat"`` those of every iteration,
            side by side. The linear part has no share in them.
        """
        found: list[np.ndarray] = []
        for encoded, n_threads in self._encoded(self._sentences(X)):
            types, offsets = encoded.types, encoded.offsets
            rows = self._inference.outputs(types, offsets, encoded.features, n_threads)
            found += [rows[first:last] for first, last in pairwise(offsets.tolist())]
        return found

    def spans(self, X: Any) -> list[list[TokenSpan]]:
        """Spans of each sentence with their exact probabilities.

        Parameters
        ----------
        X : as in `predict`

        Returns
        -------
        list of lists of TokenSpan
            With plain tags every token is a span.
        """
        return self._tags_and_spans(self._sentences(X))[1]

    @overload
    def tag(self, text: str, sentences: str = "split") -> TaggedText: ...  # type: ignore[overload-overlap]
    @overload
    def tag(self, text: Sequence[str], sentences: str = "split") -> list[TaggedText]: ...
    def tag(self, text: str | Sequence[str], sentences: str = "split") -> TaggedText | list[TaggedText]:
        """Find the spans of a text.

        Parameters
        ----------
        text : str, or list of str
        sentences : {"split", "line"}, default="split"
            Find sentences, which is what most models are trained on; a blank line ends one in any case. Or
            take each line of a text as a sentence.

        Returns
        -------
        TaggedText, or a list of them
        """
        if sentences not in SENTENCES:
            raise ValueError(f"sentences is {sentences!r}, but it must be one of {', '.join(SENTENCES)}")
        if isinstance(text, str):
            return self._tag([text], sentences)[0]
        if isinstance(text, bytes) or not isinstance(text, Iterable):
            raise TypeError(f"text is of type {type(text).__name__}, but tag takes a str or a list of str")
        text = list(text)
        wrong = next((i for i, item in enumerate(text) if not isinstance(item, str)), None)
        if wrong is not None:
            raise TypeError(
                f"text[{wrong}] is of type {type(text[wrong]).__name__}, but tag takes a str or a list of "
                "str; use predict or spans for sentences that are cut into tokens"
            )
        return self._tag(text, sentences)

    def _tag(self, texts: Sequence[str], sentences: str) -> list[TaggedText]:
        all_tokens = [tokenize(text, self.analyzer) for text in texts]
        find = _split_bounds if sentences == "split" else _line_bounds
        bounds = [find(text, tokens) for text, tokens in zip(texts, all_tokens, strict=True)]
        cut = [
            tokens.words[first:last]
            for tokens, pairs in zip(all_tokens, bounds, strict=True)
            for first, last in pairs
        ]
        tags, spans = self._tags_and_spans(cut)
        results, done = [], 0
        for text, tokens, pairs in zip(texts, all_tokens, bounds, strict=True):
            found = []
            for (first, _), sentence in zip(pairs, spans[done : done + len(pairs)], strict=True):
                for label, start, stop, probability in sentence:
                    begin, end = tokens.starts[first + start], tokens.stops[first + stop - 1]
                    found.append(TaggedSpan(label, begin, end, text[begin:end], probability))
            flat = list(chain.from_iterable(tags[done : done + len(pairs)]))
            results.append(TaggedText(text, found, tokens.words, tokens.starts, tokens.stops, flat, pairs))
            done += len(pairs)
        return results

    def _tags_and_spans(self, sentences: list[list[str]]) -> tuple[list[list[str]], list[list[TokenSpan]]]:
        names = self.classes_
        tagged: list[list[str]] = []
        spans: list[list[TokenSpan]] = []
        for encoded, emissions, n_threads in self._scored(sentences):
            offsets = encoded.offsets
            ids = self._decoder.best(emissions, offsets, n_threads)
            flat = names[self.tags.decode(ids, offsets)].tolist()
            tagged += [flat[first:last] for first, last in pairwise(offsets.tolist())]
            found = self._plain_spans if self.scheme is None else self._scheme_spans
            spans += found(ids, emissions, offsets, n_threads)
        return tagged, spans

    def _plain_spans(
        self, ids: np.ndarray, emissions: np.ndarray, offsets: np.ndarray, n_threads: int
    ) -> list[list[TokenSpan]]:
        marginals = self._decoder.marginals(emissions, offsets, n_threads)
        probabilities = marginals[np.arange(len(ids)), ids].tolist()
        labels = [self.tags.tags[i] for i in ids.tolist()]
        return [
            [TokenSpan(labels[i], i - first, i - first + 1, probabilities[i]) for i in range(first, last)]
            for first, last in pairwise(offsets.tolist())
        ]

    def _scheme_spans(
        self, ids: np.ndarray, emissions: np.ndarray, offsets: np.ndarray, n_threads: int
    ) -> list[list[TokenSpan]]:
        sentence, label, start, stop = self.tags.find_spans(ids, offsets)
        path_offsets = np.concatenate([[0], np.cumsum(stop - start)]).astype(np.intp)
        within = np.arange(path_offsets[-1]) - np.repeat(path_offsets[:-1], stop - start)
        path = ids[np.repeat(offsets[sentence] + start, stop - start) + within]
        probabilities = self._decoder.path_probabilities(
            emissions,
            offsets,
            sentence,
            start,
            stop,
            path,
            path_offsets,
            self._continuations()[label],
            n_threads,
        )
        spans: list[list[TokenSpan]] = [[] for _ in range(len(offsets) - 1)]
        labels = self.tags.labels
        columns = zip(
            sentence.tolist(),
            label.tolist(),
            start.tolist(),
            stop.tolist(),
            probabilities.tolist(),
            strict=True,
        )
        for i, which, first, last, probability in columns:
            spans[i].append(TokenSpan(labels[which], first, last, probability))
        return spans

    def _continuations(self) -> np.ndarray:
        """For each label the inner tag that would make a span longer; -1 where the last tag says its end."""
        is_bio = str(self.tags.inner_scheme).endswith("BIO")
        names = [f"I-{label}" if label else "I" for label in self.tags.labels]
        inner = self.tags.inner_tags
        return np.array([inner.index(name) if is_bio else -1 for name in names], np.int32)

    def _marginal_columns(self) -> tuple[list[str], np.ndarray | None]:
        """Names of the marginals, and the 0/1 matrix that adds them up from those of the inner tags."""
        inner, scheme = self.tags.inner_scheme, self.scheme
        if inner is None or scheme is None or inner == scheme:
            return list(self.tags.inner_tags), None
        outer = scheme
        if scheme.endswith("IOB1") or inner.endswith("BIO"):
            outer = "typeless BIO" if inner.startswith("typeless") else "BIO"
        if outer == inner:
            return list(self.tags.inner_tags), None
        to_outer: dict[str, str] = {}
        for label in self.tags.labels:
            ending = f"-{label}" if label else ""
            for letters in ("S", "BIE"):
                tags = [letter + ending for letter in letters]
                to_outer |= dict(zip(tags, convert(tags, inner, outer), strict=True))
        to_outer |= {tag: tag for tag in self.tags.inner_tags if tag not in to_outer}
        names = sorted(set(to_outer.values()))
        columns = np.zeros((len(self.tags.inner_tags), len(names)), np.float32)
        for i, tag in enumerate(self.tags.inner_tags):
            columns[i, names.index(to_outer[tag])] = 1
        return names, columns

    def _sentences(self, X: Any) -> list[list[str]]:
        return cut_texts(as_sentences(X), self.analyzer)

    def _scored(self, sentences: list[list[str]]) -> Iterator[tuple[EncodedTokens, np.ndarray, int]]:
        """Sentences in chunks: encoded, with their emissions."""
        for encoded, n_threads in self._encoded(sentences):
            emissions = self._inference.emissions(encoded.types, encoded.offsets, encoded.features, n_threads)
            check_outputs(emissions, "tokens")
            yield encoded, emissions, n_threads

    def _encoded(self, sentences: list[list[str]]) -> Iterator[tuple[EncodedTokens, int]]:
        """Sentences in chunks: encoded, with the number of threads."""
        n_threads = effective_n_threads(self.n_jobs)
        for chunk in _chunks(sentences):
            try:
                encoded = self.encoder.encode(chunk, n_threads)
            except TypeError:
                refuse_other_tokens(sentences)  # counts sentences from the first one, not in the chunk
                raise
            yield encoded, n_threads

    # ---- model files --------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a model file; it appears under `path` when it is complete, or not at all."""
        self.save_as(path, "TagPredictor", {"n_jobs": self.n_jobs})

    def save_as(self, path: str | os.PathLike[str], kind: str, params: dict[str, Any]) -> None:
        """`save` with the name and the parameters of the estimator that holds the predictor."""
        layout = self.network.layout
        arrays = {f"network.{name}": array for name, array in self.network.all_arrays().items()}
        arrays |= {f"encoder.{name}": array for name, array in self.encoder.to_arrays().items()}
        if self.linear is not None:
            arrays |= {f"linear.{name}": array for name, array in self.linear.arrays.items()}
            arrays["linear.pairs"] = self.linear.pairs
        config = {
            "kind": kind,
            "family": FAMILY,
            "params": params,
            "tags": list(self.tags.tags),
            "scheme": self.tags.scheme,
            "inner_scheme": _base_scheme(self.tags.inner_scheme),
            "analyzer": self.analyzer,
            "encoder": self.encoder.config,
            "share": float(self.share) if self.linear is not None else None,
            "frozen_words": self.network.frozen_words,
            "layout": {name: _plain(getattr(layout, name)) for name in type(layout).__dataclass_fields__},
            **self.network.config(),
        }
        with readable():
            _checked(arrays, config)
        save_arrays(path, arrays, config)

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.__dict__.items() if name not in ("_inference", "_decoder")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} of {len(self.tags.tags)} tags, {self.encoder.n_words} words, "
            f"{self.network.n_layers} layers>"
        )


def cut_texts(texts: list[Any], analyzer: str) -> list[list[str]]:
    """Sentences given as str cut into tokens; token lists stay as they are."""
    return [tokenize(text, analyzer).words if isinstance(text, str) else text for text in texts]


def _line_bounds(text: str, tokens: Tokens, end: re.Pattern[str] = LINE_END) -> list[tuple[int, int]]:
    """First token of each line with tokens, and the one behind its last."""
    n = len(tokens.words)
    cuts = {bisect_left(tokens.starts, match.end()) for match in end.finditer(text)}
    return list(pairwise([0, *sorted(cuts - {0, n}), n])) if n else []


def _split_bounds(text: str, tokens: Tokens) -> list[tuple[int, int]]:
    """First token of each sentence, and the one behind its last; a blank line ends a sentence."""
    bounds = []
    for first, last in _line_bounds(text, tokens, BLANK_LINE):
        paragraph = Tokens(tokens.words[first:last], tokens.starts[first:last], tokens.stops[first:last])
        bounds += [(first + start, first + stop) for start, stop in sentence_bounds(paragraph)]
    return bounds


def _chunks(sentences: list[list[str]]) -> Iterator[list[list[str]]]:
    """Whole sentences, about TOKENS_PER_CHUNK tokens together."""
    first = size = 0
    for i, sentence in enumerate(sentences):
        size += len(sentence)
        if size >= TOKENS_PER_CHUNK:
            yield sentences[first : i + 1]
            first, size = i + 1, 0
    if first < len(sentences):
        yield sentences[first:]


def refuse_other_tokens(sentences: list[list[str]]) -> None:
    """Raise TypeError for the first token that is no str."""
    for i, sentence in enumerate(sentences):
        for j, token in enumerate(sentence):
            if not isinstance(token, str):
                found = type(token).__name__
                raise TypeError(f"X[{i}][{j}] is of type {found}, but every token must be a str")


def _base_scheme(scheme: str | None) -> str | None:
    """BIO or BIOES, without the mark of schemes without labels."""
    return None if scheme is None else scheme.split()[-1]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class TaggerFile:
    """What a tagger's model file holds, checked."""

    encoder: TokenEncoder
    network: TokenNetwork
    tags: InnerTags
    analyzer: str
    linear: WindowLinear | None
    share: float
    kind: str
    params: dict[str, Any]

    def predictor(self, n_jobs: int | None) -> TagPredictor:
        """The runtime."""
        return TagPredictor(
            self.encoder, self.network, self.tags, self.analyzer, self.linear, self.share, n_jobs
        )


def read_tagger(path: str | os.PathLike[str], mmap: bool = False) -> TaggerFile:
    """Read a tagger's model file and check that its parts fit together; raises ModelFileError if not."""
    return tagger_from_parts(path, *load_arrays(path, mmap=mmap))


def tagger_from_parts(
    path: str | os.PathLike[str], arrays: dict[str, np.ndarray], config: dict[str, Any]
) -> TaggerFile:
    """What `read_tagger` reads, from the arrays and the configuration of a file."""
    if config.get("family") != FAMILY:
        with refused(path):
            kind = checked_kind(config)
        raise ModelFileError(
            f"{os.fspath(path)} holds a {kind}, not a tagger; textcnn.load reads it for prediction."
        )
    with refused(path):
        return _checked(arrays, config)


def _checked(arrays: dict[str, np.ndarray], config: dict[str, Any]) -> TaggerFile:
    if config["analyzer"] not in ANALYZERS:
        raise ValueError(f"analyzer {config['analyzer']!r:.100}")
    encoder = TokenEncoder.from_arrays(_part(arrays, "encoder"), config["encoder"])
    tags = _checked_tags(config, len(arrays["network.start"]))
    network = _checked_network(_part(arrays, "network"), config, len(tags.inner_tags), encoder)
    linear, share = None, 0.0
    if config["share"] is not None:
        linear = _checked_linear(_part(arrays, "linear"), network.layout, encoder)
        share = config["share"]
        if type(share) not in (int, float) or not 0 <= share <= 1:
            raise ValueError(f"share {share!r:.100}")
    kind, params = checked_kind(config), checked_params(config)
    return TaggerFile(encoder, network, tags, config["analyzer"], linear, float(share), kind, params)


def _checked_tags(config: dict[str, Any], n_inner: int) -> InnerTags:
    """The tags of a file, of which there are `n_inner` of the inner scheme, as its arrays tell.

    Their tables have a place for each pair of tags, so their number is found out before these are made.
    """
    given, scheme, inner_scheme = config["tags"], config["scheme"], config["inner_scheme"] or "BIO"
    if type(given) is not list or not all(type(tag) is str for tag in given):
        raise ValueError(f"tags {given!r:.100}")
    names = set(given)
    n_tags = len(names)
    if scheme is not None:
        labels = {tag.partition("-")[2] for tag in names if tag != OUTSIDE}
        n_tags = len(labels) * len(INNER_LETTERS.get(inner_scheme, "")) + (OUTSIDE in names)
    if n_tags != n_inner:
        raise ValueError(f"{n_tags} tags, but arrays for {n_inner}")
    return InnerTags(given, scheme, inner_scheme)


def _part(arrays: dict[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    prefix = f"{part}."
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}


def _checked_network(
    arrays: dict[str, np.ndarray], config: dict[str, Any], n_tags: int, encoder: TokenEncoder
) -> TokenNetwork:
    """The network that a file holds."""
    frozen_words = config["frozen_words"]
    if type(frozen_words) is not bool:
        raise ValueError(f"frozen_words {frozen_words!r:.100}")
    sizes = encoder.n_words, encoder.n_chars, encoder.n_rows
    if "body" not in config:
        layout = _checked_layout(config["layout"], n_tags, encoder.n_attributes, TaggerLayout)
        shapes = network_shapes(layout, *sizes)
        checked = {name: _checked_array(arrays, name, shape) for name, shape in shapes.items()}
        return TaggingCNN(layout, checked, frozen_words)
    from textcnn.nn.body_limits import body_of, check_work  # few models have layers of their own
    from textcnn.nn.layer_tagging_cnn import LayerTaggingCNN
    from textcnn.nn.modules import set_dropout_states

    token_layout = _checked_layout(config["layout"], n_tags, encoder.n_attributes, TokenLayout)
    body = body_of(config["body"])
    width = body.make(token_layout.n_features, None)
    body.set_parameters(_part(arrays, "body"))
    if "dropout_states" in config:  # older files have none
        set_dropout_states(body, config["dropout_states"])
    check_work(body, token_layout.n_features)
    shapes = token_shapes(token_layout, width, *sizes)
    checked = {name: _checked_array(arrays, name, shape) for name, shape in shapes.items()}
    return LayerTaggingCNN(token_layout, checked, body, frozen_words)


def _checked_layout(fields: dict[str, Any], n_tags: int, n_attributes: int, kind: type[Layout]) -> Layout:
    """The layout that a file tells, with every size inside its limits."""
    values = {name: fields[name] for name in kind.__dataclass_fields__}
    for name in {"char_kernel_sizes", "dilations"} & values.keys():
        if type(values[name]) is not list:
            raise ValueError(f"{name} is {values[name]!r:.100}")
        values[name] = tuple(values[name])
    sizes = [value for name, value in values.items() if name not in ("share_weights", "join", "head")]
    flat = [size for value in sizes for size in (value if isinstance(value, tuple) else (value,))]
    if not all(type(size) is int and 0 <= size < 2**24 for size in flat):
        raise ValueError(f"layout {fields!r:.200}")
    # Arrays without columns would tell nothing of how many rows they have.
    widths = (values["word_dim"], values["char_dim"], values["hashed_dim"], values.get("n_channels", 1))
    if not all(size > 0 for size in (*widths, *values["char_kernel_sizes"], *values.get("dilations", ()))):
        raise ValueError(f"layout {fields!r:.200}")
    if (
        values.get("join", JOINS[0]) not in JOINS
        or values["head"] not in HEADS
        or type(values.get("share_weights", True)) is not bool
    ):
        raise ValueError(f"layout {fields!r:.200}")
    layout = kind(**values)
    if layout.n_tags != n_tags or layout.n_attributes != n_attributes or not n_tags:
        raise ValueError(f"{layout.n_tags} tags and {layout.n_attributes} attributes")
    if isinstance(layout, TaggerLayout):
        if layout.n_iterations < 1 or layout.n_layers > MOST_LAYERS:
            raise ValueError(f"{layout.n_layers} layers")
        if layout.n_layers * layout.n_channels**2 > MOST_PRODUCTS:
            raise ValueError(f"{layout.n_layers} layers of {layout.n_channels} channels")
    return layout


def network_shapes(
    layout: TaggerLayout, n_words: int, n_chars: int, n_hashed_rows: int
) -> dict[str, tuple[int, ...]]:
    """Shape of each array of a `TaggingCNN`."""
    c = layout.n_channels
    return {
        **token_shapes(layout, layout.n_joined, n_words, n_chars, n_hashed_rows),
        "first": (KERNEL_SIZE * c, layout.n_features),
        "first_bias": (c,),
        "block": (layout.n_sets, KERNEL_SIZE, c, c),
        "block_bias": (layout.n_sets, c),
    }


def token_shapes(
    layout: TokenLayout, n_inputs: int, n_words: int, n_chars: int, n_hashed_rows: int
) -> dict[str, tuple[int, ...]]:
    """Shape of each array of a `TokenNetwork`, but those of the layers between."""
    tags = layout.n_tags
    return {
        "words": (n_words, layout.word_dim),
        "chars": (n_chars, layout.char_dim),
        "char_filters": (sum(layout.char_kernel_sizes) * layout.n_char_filters, layout.char_dim),
        "char_bias": (layout.char_outputs,),
        "hashed": (n_hashed_rows, layout.hashed_dim),
        "weights": (tags, n_inputs),
        "bias": (tags,),
        "transitions": (tags, tags),
        "start": (tags,),
        "stop": (tags,),
    }


def _checked_array(arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    array = arrays[name]
    if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
        raise ValueError(f"{name} is {array.dtype} {array.shape}, not finite float32 {shape}")
    if name in CHAIN and array.size and not -LARGEST_OUTPUT < array.min() <= array.max() < LARGEST_OUTPUT:
        raise ValueError(f"{name} has scores above {LARGEST_OUTPUT:g}")
    return array


def _checked_linear(
    arrays: dict[str, np.ndarray], layout: TokenLayout, encoder: TokenEncoder
) -> WindowLinear:
    pairs, tags = arrays["pairs"], layout.n_tags
    if pairs.dtype != np.int64 or pairs.ndim != 1 or (pairs[1:] <= pairs[:-1]).any():
        raise ValueError("the pairs of the linear part are not sorted numbers")
    n_words = len(arrays["rows"]) - encoder.n_rows
    if not 0 < n_words <= encoder.n_words:  # words behind them are known from word vectors alone
        raise ValueError(f"the linear part has {n_words} words, the encoder {encoder.n_words}")
    shapes = {
        "rows": (encoder.n_rows + n_words, WINDOW * tags),
        "pair_rows": (len(pairs) + 1, PAIR_WINDOW * tags),
        "transitions": (tags, tags),
        "start": (tags,),
        "stop": (tags,),
    }
    checked = {name: _checked_array(arrays, name, shape) for name, shape in shapes.items()}
    return WindowLinear(encoder.n_rows, pairs, checked, layout.head, encoder.shape)
