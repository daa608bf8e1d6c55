"""The command line: thin, one file a part; what it can do the library can do too."""
