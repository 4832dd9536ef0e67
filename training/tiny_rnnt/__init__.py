"""Trains the zoo's `tiny_rnnt` on synthetic speech: data, loss, net, training, evaluation."""
