"""Speed, as ratios against named peers measured in the same run; each prints one JSON line."""
