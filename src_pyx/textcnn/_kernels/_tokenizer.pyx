"""The loop of `textcnn.text.tokenizer.tokenize`: plain words are cut here, others by its regular expression.

Most tokens are ASCII words before a space or a comma, or commas and stops before a space. To look at their
characters takes a fraction of the time of the regular expression and its match objects.
"""


cdef inline bint is_letter(Py_UCS4 code) noexcept nogil:
    return u"a" <= code <= u"z" or u"A" <= code <= u"Z"


cdef inline bint is_space(Py_UCS4 code) noexcept nogil:
    """White space of ASCII; the rest is left to the regular expression."""
    return code == u" " or u"\t" <= code <= u"\r"


cdef inline bint ends_word(Py_UCS4 code) noexcept nogil:
    """Behind these, letters are a whole token, but for what `may_be_cut`."""
    return is_space(code) or code in u",;()?!\""


cdef inline bint may_be_cut(str text, Py_ssize_t stop) noexcept:
    """Whether the letters before `stop` may be two tokens: cannot, gonna, wanna and gotta are."""
    return stop > 1 and text[stop - 1] in u"at" and text[stop - 2] in u"not"


def cut_words(
    object string,              # IN   str
    search,                     # IN   the regular expression's: (text, place) -> match of a token, or None
):
    """Tokens of a text, where they start and where they stop: three lists."""
    cdef str text = string if type(string) is str else str.__str__(string)
    cdef Py_ssize_t n = len(text), start, place = 0
    cdef Py_UCS4 code
    words, starts, stops = [], [], []
    while place < n:
        start, code = place, text[place]
        place += 1
        if is_space(code):
            continue
        if is_letter(code):
            while place < n and is_letter(text[place]):
                place += 1
            whole = (place == n or ends_word(text[place])) and not may_be_cut(text, place)
        else:
            whole = code in u".,;\"()" and (place == n or is_space(text[place]))
        if not whole:
            match = search(text, start)
            if match is None:
                break
            start, place = match.span()
        words.append(text[start:place])
        starts.append(start)
        stops.append(place)
    return words, starts, stops
