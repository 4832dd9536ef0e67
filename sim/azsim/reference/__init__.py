"""What a graph and a program mean, in plain numpy: the oracle of every faster path."""
