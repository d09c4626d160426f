"""Stage 2: speaker encoders in SpeechBrain's classes and folder layout.

    python scripts/recipes/text_to_speech/speaker.py --out runs/speech --name encoder
    python scripts/recipes/text_to_speech/speaker.py --out runs/speech --name verifier

``encoder`` is the ECAPA-TDNN that the text-to-speech model listens to and that is redacted.
``verifier`` is the ResNet that grades; it learns from other utterances (split ``judge``).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.lobes.models.ECAPA_TDNN import Classifier
from speechbrain.nnet.losses import AdditiveAngularMargin, LogSoftmaxWrapper
from torchaudio.functional import lowpass_biquad

from scripts.experiments.stages import Run, set_rate

sys.path.insert(0, str(Path(__file__).parent))
from corpus import RATE, Corpus, read

HYPERPARAMS = """# {about}
# Load it with speechbrain.inference.classifiers.EncoderClassifier.from_hparams(this folder).
compute_features: !new:speechbrain.lobes.features.Fbank
  n_mels: 80
mean_var_norm: !new:speechbrain.processing.features.InputNormalization
  norm_type: sentence
  std_norm: False
embedding_model: !new:{model}
modules:
  compute_features: !ref <compute_features>
  mean_var_norm: !ref <mean_var_norm>
  embedding_model: !ref <embedding_model>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
  loadables:
    embedding_model: !ref <embedding_model>
"""
ECAPA = """speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN
  input_size: 80
  channels: [128, 128, 128, 128, 384]
  kernel_sizes: [5, 3, 3, 3, 1]
  dilations: [1, 2, 3, 4, 1]
  attention_channels: 64
  lin_neurons: 192"""
RESNET = """speechbrain.lobes.models.ResNet.ResNet
  input_size: 80
  channels: [12, 24, 48, 64]
  block_sizes: [2, 2, 2, 2]
  strides: [2, 2, 2, 2]
  lin_neurons: 128"""
KINDS = {"encoder": (ECAPA, 192, "train"), "verifier": (RESNET, 128, "judge")}


def distort(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Gain, white noise and band limit: what a reference clip suffers on its way."""
    n = len(x)
    level = x.square().mean(1, keepdim=True).sqrt()
    snr = 10 + 40 * torch.rand(n, 1, generator=generator)
    x = x + level * 10 ** (-snr / 20) * torch.randn(x.shape, generator=generator)
    if torch.rand((), generator=generator) < 0.3:
        x = lowpass_biquad(x, RATE, 2500 + 3500 * torch.rand((), generator=generator).item())
    return x * 10 ** (0.6 * (torch.rand(n, 1, generator=generator) - 0.5))


def crops(
    corpus: Corpus,
    rows: list[np.ndarray],
    pick: np.ndarray,
    samples: int,
    rng: np.random.Generator,
    revocoded: float = 0.0,
) -> torch.Tensor:
    """One stretch of ``samples`` for each speaker in ``pick``; short utterances are joined.

    A share ``revocoded`` of the utterances comes out of the vocoder.
    """
    out = np.zeros((len(pick), samples), np.float32)
    for row, speaker in zip(out, pick, strict=True):
        have = 0
        while have < samples:
            wave = corpus.wave(rng.choice(rows[speaker]), bool(rng.random() < revocoded))
            if len(wave) > samples:
                first = rng.integers(len(wave) - samples)
                wave = wave[first : first + samples]
            part = wave[: samples - have]
            row[have : have + len(part)] = part
            have += len(part)
    return torch.from_numpy(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", choices=tuple(KINDS), required=True)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--batch", type=int, default=40)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--synthetic", type=float, default=0.25, help="share of synthetic voices in a batch")
    args = parser.parse_args()
    corpus = read(args.out)
    model, size, split = KINDS[args.name]
    torch.manual_seed(sorted(KINDS).index(args.name))
    about = f"{args.name} of the bundled text-to-speech base"
    yaml = HYPERPARAMS.format(about=about, model=model)
    hparams = load_hyperpyyaml(yaml)
    features, normalise, net = (hparams[k] for k in ("compute_features", "mean_var_norm", "embedding_model"))
    head = Classifier(size, out_neurons=len(corpus.names))
    objective = LogSoftmaxWrapper(AdditiveAngularMargin(margin=0.2, scale=30))
    optimizer = torch.optim.AdamW([*net.parameters(), *head.parameters()], lr=args.lr, weight_decay=1e-3)
    rows = [np.flatnonzero((corpus.speaker == s) & (corpus.split == split)) for s in range(len(corpus.names))]
    of_kind = [np.flatnonzero(corpus.synthetic), np.flatnonzero(~corpus.synthetic)]
    run = Run(args.out, args.name, args.steps, {"net": net, "head": head, "optimizer": optimizer})
    for step in run:
        set_rate(optimizer, args.lr, step, args.steps, 100)
        rng, generator = np.random.default_rng(step), torch.Generator().manual_seed(step)
        few = round(args.batch * args.synthetic)
        pick = np.concatenate([rng.choice(of_kind[0], few), rng.choice(of_kind[1], args.batch - few)])
        samples = int(RATE * rng.uniform(1.0, 2.0))
        share = 0.5 if args.name == "verifier" else 0.0
        x = distort(crops(corpus, rows, pick, samples, rng, share), generator)
        whole = torch.ones(len(x))
        with torch.no_grad():
            mels = normalise(features(x), whole)
        scores = head(net(mels, whole))
        target = torch.from_numpy(pick)[:, None]
        loss = objective(scores, target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        right = scores[:, 0].argmax(1) == target[:, 0]
        run.log(
            loss=loss.item(),
            synthetic=right[:few].float().mean().item(),
            real=right[few:].float().mean().item(),
        )
    folder = args.out / args.name
    folder.mkdir(exist_ok=True)
    (folder / "hyperparams.yaml").write_text(yaml, encoding="utf-8")
    torch.save(net.eval().state_dict(), folder / "embedding_model.ckpt")
    run.finish()
    grade(corpus, net, features, normalise)


@torch.no_grad()
def grade(corpus: Corpus, net, features, normalise) -> None:
    """Nearest prototype of the speaker's own ``train`` half for every ``test`` clip."""
    whole = torch.ones(1)

    def embed(i: int) -> torch.Tensor:
        x = torch.from_numpy(corpus.wave(i))[None]
        return torch.nn.functional.normalize(net(normalise(features(x), whole), whole).flatten(), dim=0)

    enrol = torch.stack(
        [
            torch.stack(
                [embed(i) for i in np.flatnonzero((corpus.speaker == s) & (corpus.split == "train"))[:5]]
            ).mean(0)
            for s in range(len(corpus.names))
        ]
    )
    test = corpus.where("test")
    best = torch.stack([embed(i) for i in test]) @ torch.nn.functional.normalize(enrol, dim=1).T
    right = best.argmax(1).numpy() == corpus.speaker[test]
    synthetic = corpus.synthetic[corpus.speaker[test]]
    for name, chosen in (("synthetic", synthetic), ("real", ~synthetic)):
        print(f"{name}: {right[chosen].mean():.3f} of {chosen.sum()} test clips find their voice among all")


if __name__ == "__main__":
    main()
