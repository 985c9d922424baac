# What you would type into a Python Code node, in the mode "Run Once for All Items".
from collections import defaultdict

totals = defaultdict(float)
for item in _items:
    invoice = item["json"]
    totals[invoice["customer"]] += invoice["amount"]

print("customers:", len(totals))
return [{"json": {"customer": customer, "total": round(total, 2)}} for customer, total in sorted(totals.items())]
