"""One file per operator family: support rules and the lowering to canonical nodes."""
