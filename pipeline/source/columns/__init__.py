"""Tables in parquet, Arrow and Delta, and what their columns hold."""
