"""Progress and remaining time of a run, for the console and for `tckr status` in another terminal."""
