"""The kernel of every executed page."""

c = get_config()  # noqa: F821  (IPython defines it)
c.HistoryManager.enabled = False
c.InlineBackend.figure_formats = {"svg"}
c.InlineBackend.print_figure_kwargs = {"bbox_inches": "tight", "metadata": {"Date": None}}
