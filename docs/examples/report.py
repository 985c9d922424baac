from n8n_runner_stubs import *  # for editors alone

names = {customer.json.id: customer.json.name for customer in _("Customers").all()}
lines = [f"{names[order.json.customer]}: {order.json.total:.2f}" for order in _input.all()]
lines.append(_vars.get("greeting", "Thank you"))
file = _helpers.prepareBinaryData("\n".join(lines), "report.txt", "text/plain")
result = [{"json": {"lines": len(lines)}, "binary": {"report": file}}]
return result  # pyright: ignore
