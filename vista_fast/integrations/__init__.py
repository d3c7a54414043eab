"""What other libraries take from vista_fast: one module per library, each imported only by who uses it."""
