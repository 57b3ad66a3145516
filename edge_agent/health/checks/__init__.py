"""One file per check, each with `check(context: Context) -> Finding`. The file's name is the check's."""
