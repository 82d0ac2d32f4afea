"""How far a run is, and how long it still takes: for the console, and for `tckr status` in another terminal."""
