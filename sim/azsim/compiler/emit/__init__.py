"""Pass 10: tiles, addresses and streams become the commands of a program."""
