"""Reports: tables, plots and one page, made from result files alone; never imports torch."""
