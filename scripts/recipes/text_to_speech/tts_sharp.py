"""Stage 3c: SpeechT5 gets its voices back, against a critic that knows them.

    python scripts/recipes/text_to_speech/tts_sharp.py --out runs/speech
    python scripts/recipes/text_to_speech/tts_sharp.py --out runs/speech --start tts_sharp --name tts_voice \
        --more --voice 3 --bf16 --steps 3300

After stage 3b the words are right and the voices are not: a mean of spectrograms has no harmonics,
and a voice is heard by them. A critic of patches is told whose voice is meant (projection, Miyato &
Koyama 2018, arXiv:1802.05637) and learns to tell true from predicted ones; the model learns to pass
(hinge loss), and to have the same features inside the critic (Larsen et al. 2016, arXiv:1512.09300).
The second time, with more sentences, the listener of stage 3d also says in the loss whom it hears.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize, relu
from torch.nn.utils.parametrizations import spectral_norm

from scripts.experiments.stages import Run, finished, set_rate

sys.path.insert(0, str(Path(__file__).parent))
from listener import Listener
from tts_free import spoken, start

WINDOW = 64


class Critic(nn.Module):
    """``(batch, frames, 80)`` log-mels and ``(batch, 192)`` voices to scores of patches, and features."""

    def __init__(self, widths: tuple[int, ...] = (24, 48, 64, 96)):
        super().__init__()
        strides = ((1, 2), (2, 2), (2, 2), (1, 1))
        before = (1, *widths)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 5 if i < 3 else 3, stride, 2 if i < 3 else 1))
            for i, (a, b, stride) in enumerate(zip(before[:-1], widths, strides, strict=True))
        )
        self.last = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))
        self.voice = spectral_norm(nn.Linear(192, widths[-1]))

    def forward(self, mels: Tensor, voice: Tensor) -> tuple[Tensor, list[Tensor]]:
        x, features = mels[:, None] / 2 + 1, list[Tensor]()
        for layer in self.layers:
            x = leaky_relu(layer(x), 0.2)
            features.append(x)
        meant = self.voice(10 * normalize(voice))[:, :, None]  # entries near 1
        return self.last(x)[:, 0] + (x.mean(3) * meant).sum(1)[:, :, None], features


def windows(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Indices ``(batch, WINDOW)`` of a stretch of each utterance; a shorter one is repeated."""
    last = (frames - WINDOW).clamp(min=0)
    first = (torch.from_numpy(rng.random(len(frames))) * (last + 1)).long()
    return (first[:, None] + torch.arange(WINDOW)) % frames[:, None]


def hearing(out: Path) -> Listener:
    """The frozen listener of stage 3d."""
    state = finished(out, "listener")
    listener = Listener(len(state["speakers"])).requires_grad_(False).eval()
    listener.load_state_dict(state)
    return listener


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=5200)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--reading", type=float, default=0.4, help="weight of the reader's loss")
    parser.add_argument("--passing", type=float, default=0.1, help="weight of the critic's score")
    parser.add_argument("--matching", type=float, default=2.0, help="weight of the critic's features")
    parser.add_argument("--voice", type=float, default=0.0, help="weight of the listener's loss")
    parser.add_argument("--more", action="store_true", help="with the corpus's additional sentences")
    parser.add_argument("--real", type=float, default=0.0, help="share of batches of real speakers")
    parser.add_argument("--bf16", action="store_true", help="mixed precision, for processors that have it")
    parser.add_argument("--start", default="tts_free", help="the stage to go on from")
    parser.add_argument("--name", default="tts_sharp", help="of this stage")
    parser.add_argument("--alone", type=int, default=150, help="steps in which the critic learns alone")
    args = parser.parse_args()
    torch.manual_seed(0)
    model, prepare, batches, reader = start(args.out, args.start, args.more, args.real)
    listener = hearing(args.out) if args.voice else None
    critic = Critic()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-4, betas=(0.9, 0.98))
    learning = torch.optim.AdamW(critic.parameters(), lr=5e-4, betas=(0.5, 0.9))
    parts = {"model": model, "critic": critic, "optimizer": optimizer, "learning": learning}
    run = Run(args.out, args.name, args.steps, parts)
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 100)
        set_rate(learning, 5e-4, step, args.steps, 50, 0.2)
        rng = np.random.default_rng(step)
        torch.manual_seed(step)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            found = spoken(model, batches, args.batch, rng)
        labels, voice = found.labels, found.voice
        at = windows(found.said.sum(1), rng)[..., None].expand(-1, -1, 80)
        true, told = labels.gather(1, at), found.mels.gather(1, at)

        good, bad = critic(true, voice)[0], critic(told.detach(), voice)[0]
        telling = relu(1 - good).mean() + relu(1 + bad).mean()
        learning.zero_grad()
        telling.backward()
        learning.step()

        reading = found.reading(reader)
        critic.requires_grad_(False)
        with torch.no_grad():
            _, wanted = critic(true, voice)
        score, given = critic(told, voice)
        critic.requires_grad_(True)
        matching = torch.stack(
            [(w - g).abs().mean() / w.abs().mean() for w, g in zip(wanted, given, strict=True)]
        ).mean()
        loss = found.loss + args.reading * reading
        whose = torch.zeros(())
        if listener is not None:
            heard = listener(told)
            whose = listener.loss(heard, found.speakers) / 10 + 1 - (heard * listener(true)).sum(1).mean()
            loss = loss + args.voice * whose
        if step >= args.alone:
            loss = loss - args.passing * score.mean() + args.matching * matching
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        run.log(loss=found.loss.item(), mel=found.error, reading=reading.item(), telling=telling.item(),
                matching=matching.item(), whose=whose.item())  # fmt: skip
    model.eval().save_pretrained(args.out / args.name)
    prepare.save_pretrained(args.out / args.name)
    run.finish()


if __name__ == "__main__":
    main()
