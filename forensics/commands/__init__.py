"""The commands: arguments in, one call of the library, words or JSON out. One module for each group of them."""
