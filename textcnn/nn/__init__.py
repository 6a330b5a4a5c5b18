"""Networks: layers, losses, optimisers, the training loop. Knows arrays, not strings."""
