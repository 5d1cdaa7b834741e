"""Trains a small convolutional network on handwritten digits, on any number of workers.

The rows are those that the pipeline beside this file makes: a float32 column `tensor` and a text column `label`. Each
worker pulls its own share of them by Arrow Flight. Killed at any point and started again, the training goes on from its
last checkpoint and ends with the same model.

Parameters: epochs (10), batch_size of one worker (16), learning_rate (0.002), seed (0).
"""

import json

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

import headwater.training
from headwater.training import Session


class SmallCnn(nn.Module):
    """Two convolutions, each halving height and width, and two linear layers."""

    def __init__(self, height: int, width: int, class_count: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Flatten(),
            *(nn.Linear(64 * (height // 4) * (width // 4), 64), nn.ReLU()),
            nn.Linear(64, class_count),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes] of images [N, 1, height, width]."""
        return self.layers(image)


def main(session: Session) -> None:
    """Train, evaluate, hand in the model."""
    parameters = session.parameters
    epochs, batch_size = parameters.get("epochs", 10), parameters.get("batch_size", 16)
    torch.manual_seed(parameters.get("seed", 0))
    # Every worker must know every class, also those of which it has no row.
    classes = sorted(set(session.dataset("train", columns=["label"], whole=True).table["label"].to_pylist()))
    images, labels = load(session, "train", classes)
    height, width = images.shape[2:]
    model = DistributedDataParallel(SmallCnn(height, width, len(classes)))
    optimizer = torch.optim.Adam(model.parameters(), lr=parameters.get("learning_rate", 2e-3))
    restored = session.load_checkpoint(model, optimizer)
    first_epoch, step = (restored.epoch, restored.step) if restored else (0, 0)
    # Shares may differ by a row; all workers must make the same number of steps.
    steps_per_epoch = least(len(images)) // batch_size
    for epoch in range(first_epoch, epochs):
        model.train()
        order = torch.randperm(len(images))
        for batch in order[: steps_per_epoch * batch_size].split(batch_size):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            session.log_metrics({"train/loss": loss.item()}, step=step)
            session.report_progress(epoch=epoch, epoch_count=epochs, step=step, step_count=epochs * steps_per_epoch)
        session.log_metrics({"validation/accuracy": accuracy(session, model, "validation", classes)}, step=step)
        session.report_progress(epoch=epoch + 1, epoch_count=epochs, step=step, step_count=epochs * steps_per_epoch)
        session.save_checkpoint(model, optimizer, epoch=epoch + 1, step=step)
        if session.should_stop:
            return
    session.log_metrics({"test/accuracy": accuracy(session, model, "test", classes)}, step=step)
    session.save_model(
        model,
        example={"image": images[:1]},
        outputs=["logits"],
        architecture="small-cnn",
        properties={"classes": json.dumps(classes)},
    )


def load(session: Session, split: str, classes: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """This worker's share of a split: images [N, 1, height, width] and class numbers [N]."""
    rows = session.dataset(split, columns=["tensor", "label"])
    numbers = {label: number for number, label in enumerate(classes)}
    return rows.tensor("tensor"), torch.tensor([numbers[label] for label in rows.table["label"].to_pylist()])


def accuracy(session: Session, model: nn.Module, split: str, classes: list[str]) -> float:
    """The share of right answers over all workers' shares of a split."""
    images, labels = load(session, split, classes)
    model.eval()
    with torch.no_grad():
        right = (model(images).argmax(dim=1) == labels).sum()
    total = torch.stack([right, torch.tensor(len(labels))])
    distributed.all_reduce(total)
    return (total[0] / total[1]).item()


def least(number: int) -> int:
    """The least of all workers' numbers."""
    tensor = torch.tensor(number)
    distributed.all_reduce(tensor, op=distributed.ReduceOp.MIN)
    return int(tensor.item())


if __name__ == "__main__":
    with headwater.training.session() as session:
        distributed.init_process_group("gloo")
        try:
            main(session)
        finally:
            distributed.destroy_process_group()
