"""The command line: the only room with argparse, one module a command, its flags beside its run."""
