"""How well a ranker ranks: metrics, intervals, slices, and the simple baselines that belong beside every number."""
