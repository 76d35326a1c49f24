"""What one small operator costs: see bench/ours/call.ts."""
import torch
from serve import configuration, serve

calls = configuration()["calls"]
x, y = torch.ones(4), torch.ones(4)


def add():
    for _ in range(calls):
        x + y
    return (x + y).sum().item()


serve({"add": add})
