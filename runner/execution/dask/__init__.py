"""Tasks on a Dask cluster: `executor` and `line` are the runner's side, `plugin` and `hosting` a Dask worker's."""
