"""Text side: analyzers, vocabulary, packed batches, word vectors. Knows strings, not gradients."""
