"""LiME: its format, its source, the headers and packages that a module is made of, and the stream it gives."""
