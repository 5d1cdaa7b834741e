"""The platform's main job on real data, from outside: the public command line and stock clients only."""
