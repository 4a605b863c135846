"""Numbers in, a verdict out. Nothing here knows a run or a record, says more than a reason, or reads any file but the
table of boundaries that lies here.
"""
