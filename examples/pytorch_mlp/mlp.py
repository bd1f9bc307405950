"""A plain PyTorch program: a perceptron of three layers learns a function. Nothing in it knows of Sextant.

    python3 mlp.py [--width N] [--batch N] [--steps N] [--device cuda|cpu]
    sextant run --pass activity --pass 'proton:mode=host' -- python3 mlp.py

Prints the loss at the first and the last step; exits with 1 when it has not fallen to a half."""

import argparse
import sys

import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.manual_seed(0)
    device = torch.device(options.device)
    model = torch.nn.Sequential(torch.nn.Linear(64, options.width), torch.nn.GELU(),
                                torch.nn.Linear(options.width, options.width), torch.nn.GELU(),
                                torch.nn.Linear(options.width, 1)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    weights = torch.randn((64, 1), device=device)
    losses = []
    for _ in range(options.steps):
        x = torch.randn((options.batch, 64), device=device)
        loss = torch.nn.functional.mse_loss(model(x), torch.sin(x @ weights / 16))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    first, last = losses[0].item(), losses[-1].item()
    print(f"loss {first:.4f} → {last:.4f} in {options.steps} steps on {device}")
    return 0 if last < first / 2 else 1


if __name__ == "__main__":
    sys.exit(main())
