"""Models of trees as their libraries save them: XGBoost and LightGBM."""
