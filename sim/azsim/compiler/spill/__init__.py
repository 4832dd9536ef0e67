"""Pass 5: what does not fit the activation buffer lies in DRAM and passes in blocks of rows."""
