"""The labelling page: an annotation queue in a browser, keyboard first.

GET /label        the page; it holds nobody's texts, so it needs no key
/v1/label/...     what it asks the server; with a key that may `label`, once there are keys

api.py       the calls                          callers.py   who calls
desk.py      what a person sees of a task, and what becomes of the answer
similar.py   labelled texts like one at hand    page.py      gives out static/
"""
