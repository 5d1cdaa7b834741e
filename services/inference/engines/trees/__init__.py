"""Models of trees, computed by the libraries that made them: XGBoost and LightGBM.

Both libraries trust their files: an index that is out of range is read, or written, wherever it points to. So what a
file says is checked here first, and only then loaded.
"""
