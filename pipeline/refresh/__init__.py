"""One refresh: run the stages, write their tables, publish the run."""
