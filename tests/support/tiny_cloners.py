"""Tiny stand-ins for XTTS 2, Chatterbox and StyleTTS 2: files, key names and arithmetic as the stock code has them.

Each class computes what the stock one does from its own state, by other means than the adapters: transforms of torchaudio
and librosa, PyTorch's own spectral norm. Sizes are small; numbers of blocks, kernels and window lengths are the stock ones.
"""

import json
import math
import warnings
from collections import OrderedDict
from pathlib import Path

import librosa
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchaudio.compliance.kaldi import fbank
from torchaudio.functional import resample
from torchaudio.transforms import MelSpectrogram

GPT, SPK, LATENTS, HEADS, WIDTH = "gpt.", "hifigan_decoder.speaker_encoder.", 4, 2, 16


class AttentionBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.GroupNorm(8, WIDTH)
        self.qkv = nn.Conv1d(WIDTH, 3 * WIDTH, 1)
        self.proj_out = nn.Conv1d(WIDTH, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        b, c, t = x.shape
        q, k, v = self.qkv(x).reshape(b * HEADS, 3 * c // HEADS, t).split(c // HEADS, dim=1)
        weight = torch.einsum("bct,bcs->bts", q, k) / math.sqrt(c // HEADS)
        return x + self.proj_out(torch.einsum("bts,bcs->bct", weight.softmax(-1), v).reshape(b, -1, t))


class Perceiver(nn.Module):
    def __init__(self):
        super().__init__()
        inner, wide = 64, 2 * int(WIDTH * 4 * 2 / 3)
        self.latents = nn.Parameter(torch.randn(LATENTS, WIDTH))
        self.layers = nn.ModuleList()
        for _ in range(2):
            names = {"to_q": (WIDTH, inner), "to_kv": (WIDTH, 2 * inner), "to_out": (inner, WIDTH)}
            attend = nn.ModuleDict({name: nn.Linear(*sizes, bias=False) for name, sizes in names.items()})
            self.layers.append(
                nn.ModuleList(
                    [
                        attend,
                        nn.Sequential(nn.Linear(WIDTH, wide), nn.Identity(), nn.Linear(wide // 2, WIDTH)),
                    ]
                )
            )
        self.norm = nn.ParameterDict({"gamma": torch.rand(WIDTH) + 0.5})

    def forward(self, x: Tensor) -> Tensor:
        rows = self.latents[None].repeat(len(x), 1, 1)
        for attend, feed in self.layers:
            k, v = attend["to_kv"](torch.cat((rows, x), dim=-2)).chunk(2, dim=-1)
            weight = (attend["to_q"](rows) @ k.transpose(1, 2) / 8).softmax(-1)
            rows = attend["to_out"](weight @ v) + rows
            value, gate = feed[0](rows).chunk(2, dim=-1)
            rows = feed[2](F.gelu(gate) * value) + rows
        return F.normalize(rows, dim=-1) * WIDTH**0.5 * self.norm["gamma"]


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.conditioning_encoder = nn.Module()
        self.conditioning_encoder.init = nn.Conv1d(80, WIDTH, 1)
        self.conditioning_encoder.attn = nn.Sequential(*(AttentionBlock() for _ in range(2)))
        self.conditioning_perceiver = Perceiver()
        self.text_head = nn.Linear(WIDTH, 3)  # a part that no voice enters by

    def latents(self, audio: Tensor, stats: Tensor, chunk_length: int) -> Tensor:
        """``(1, latents, width)`` as ``get_gpt_cond_latents`` computes them from ``audio (1, samples)`` at 22,050 Hz."""
        mel = MelSpectrogram(
            22050, n_fft=2048, hop_length=256, win_length=1024, f_min=0, f_max=8000, n_mels=80, norm="slaney"
        )
        found = []
        for i in range(0, audio.shape[1], 22050 * chunk_length):
            part = audio[:, i : i + 22050 * chunk_length]
            if part.size(-1) < 22050 * 0.33:
                continue
            seen = torch.log(torch.clamp(mel(part), min=1e-5)) / stats[None, :, None]
            seen = self.conditioning_encoder.attn(self.conditioning_encoder.init(seen))
            found.append(self.conditioning_perceiver(seen.permute(0, 2, 1)))
        return torch.stack(found).mean(dim=0)


class SeBlock(nn.Module):
    def __init__(self, inplanes: int, planes: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(planes), nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.se = nn.Module()
        self.se.fc = nn.Sequential(
            nn.Linear(planes, planes // 2), nn.ReLU(), nn.Linear(planes // 2, planes), nn.Sigmoid()
        )
        self.downsample = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, planes, 1, stride=stride, bias=False), nn.BatchNorm2d(planes)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.bn1(self.conv1(x).relu())))
        out = out * self.se.fc(F.adaptive_avg_pool2d(out, 1).flatten(1))[..., None, None]
        return (out + (x if self.downsample is None else self.downsample(x))).relu()


class ResNetSpeakerEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.torch_spec = nn.Sequential(
            nn.Identity(),
            MelSpectrogram(
                16000, n_fft=512, win_length=400, hop_length=160, window_fn=torch.hamming_window, n_mels=64
            ),
        )
        widths = (4, 4, 6, 6, 8)
        self.conv1, self.bn1 = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        for i in range(1, 5):
            stride = 1 if i == 1 else 2
            blocks = [SeBlock(widths[i - 1], widths[i], stride), SeBlock(widths[i], widths[i], 1)]
            setattr(self, f"layer{i}", nn.Sequential(*blocks))
        rows = 8 * 8
        self.attention = nn.Sequential(
            nn.Conv1d(rows, 12, 1), nn.ReLU(), nn.BatchNorm1d(12), nn.Conv1d(12, rows, 1), nn.Softmax(dim=2)
        )
        self.fc = nn.Linear(2 * rows, 10)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, dim)`` of ``x (batch, samples)`` at 16 kHz."""
        x = F.pad(x.unsqueeze(1), (1, 0), "reflect")
        x = F.conv1d(x, torch.tensor([[[-0.97, 1.0]]])).squeeze(1)
        x = (self.torch_spec[1](x) + 1e-6).log()
        x = F.instance_norm(x).unsqueeze(1)
        x = self.bn1(self.conv1(x).relu())
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        x = x.reshape(x.size(0), -1, x.size(-1))
        w = self.attention(x)
        mu = torch.sum(x * w, dim=2)
        sg = torch.sqrt((torch.sum((x**2) * w, dim=2) - mu**2).clamp(min=1e-5))
        return F.normalize(self.fc(torch.cat((mu, sg), 1)), p=2, dim=1)


def louder(module: nn.Module, factor: float = 2.0) -> nn.Module:
    """Fresh weights tell no voices apart."""
    with torch.no_grad():
        for name, value in module.named_parameters():
            if value.dim() > 1 and "weight_u" not in name:
                value.mul_(factor)
        for name, value in module.named_buffers():
            if name.endswith("running_mean"):
                value.uniform_(-0.1, 0.1)
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5)
    return module.eval()


def tiny_xtts(folder: Path, **changes: object) -> Path:
    """``config.json``, ``model.pth`` and other files of the stock folder."""
    folder.mkdir()
    torch.manual_seed(0)
    state = {f"{GPT}{name}": value for name, value in louder(Gpt()).state_dict().items()}
    state |= {f"{SPK}{name}": value for name, value in louder(ResNetSpeakerEncoder()).state_dict().items()}
    state |= {
        "mel_stats": torch.rand(80) + 1.0,
        "hifigan_decoder.waveform_decoder.conv_pre.weight": torch.randn(3),
    }
    torch.save({"model": OrderedDict(state), "step": 3}, folder / "model.pth")
    settings = {
        "model": "xtts", "model_args": {"gpt_n_heads": HEADS, "gpt_use_perceiver_resampler": True}, "gpt_cond_len": 30,
        "gpt_cond_chunk_len": 1, "max_ref_len": 30, **changes,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "vocab.json").write_text("{}")
    return folder


def xtts_says(folder: Path, waves: Tensor) -> dict[str, Tensor]:
    """Path -> ``(batch, dim)`` as the stock code computes it from the folder's files."""
    state = torch.load(folder / "model.pth", weights_only=True)["model"]
    gpt, speaker = Gpt().eval(), ResNetSpeakerEncoder().eval()
    for part, prefix in ((gpt, GPT), (speaker, SPK)):
        part.load_state_dict({n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)})
    chunk = json.loads((folder / "config.json").read_text())["gpt_cond_chunk_len"]
    with torch.no_grad():
        wide = resample(waves, 16_000, 22_050)
        latents = torch.cat([gpt.latents(wave[None], state["mel_stats"], chunk) for wave in wide])
        return {"gpt_cond_latent": latents.flatten(1), "speaker_embedding": speaker(waves)}


class VoiceEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(40, 12, num_layers=3, batch_first=True)
        self.proj = nn.Linear(12, 10)
        self.similarity_weight = nn.Parameter(torch.tensor([10.0]))
        self.similarity_bias = nn.Parameter(torch.tensor([-5.0]))

    def embed(self, wave: np.ndarray) -> Tensor:
        """``(dim,)`` of one clip, as ``embeds_from_wavs`` computes it without trimming silence."""
        basis = librosa.filters.mel(sr=16000, n_fft=400, n_mels=40, fmin=0, fmax=8000)
        power = np.abs(librosa.stft(wave, n_fft=400, hop_length=160, win_length=400, pad_mode="reflect")) ** 2
        mel = (basis @ power).T
        count, rest = divmod(max(len(mel) - 160 + 77, 0), 77)
        if count == 0 or (rest + (160 - 77)) / 160 >= 0.8:
            count += 1
        target = 160 + 77 * (count - 1)
        mel = np.concatenate((mel, np.zeros((max(0, target - len(mel)), 40))))[:target]
        parts = torch.from_numpy(np.stack([mel[i * 77 : i * 77 + 160] for i in range(count)])).float()
        _, (hidden, _) = self.lstm(parts)
        raw = F.relu(self.proj(hidden[-1]))
        mean = (raw / torch.linalg.norm(raw, dim=1, keepdim=True)).mean(0)
        return mean / torch.linalg.norm(mean)


class ResBlock(nn.Module):
    def __init__(self, planes: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(planes, planes, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(planes), nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(planes, planes, 1, stride=(stride, 1), bias=False), nn.BatchNorm2d(planes)
            )

    def forward(self, x: Tensor) -> Tensor:
        return (self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())) + self.shortcut(x)).relu()


def named(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


class CamLayer(nn.Module):
    def __init__(self, width: int, inner: int, out: int, dilation: int):
        super().__init__()
        self.nonlinear1 = named(batchnorm=nn.BatchNorm1d(width), relu=nn.ReLU())
        self.linear1 = nn.Conv1d(width, inner, 1, bias=False)
        self.nonlinear2 = named(batchnorm=nn.BatchNorm1d(inner), relu=nn.ReLU())
        self.cam_layer = nn.ModuleDict(
            {
                "linear_local": nn.Conv1d(inner, out, 3, padding=dilation, dilation=dilation, bias=False),
                "linear1": nn.Conv1d(inner, inner // 2, 1),
                "linear2": nn.Conv1d(inner // 2, out, 1),
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.nonlinear2(self.linear1(self.nonlinear1(x)))
        seg = F.avg_pool1d(x, kernel_size=100, stride=100, ceil_mode=True)
        seg = seg.unsqueeze(-1).expand(*seg.shape, 100).reshape(*seg.shape[:-1], -1)[..., : x.shape[-1]]
        mask = self.cam_layer["linear2"](self.cam_layer["linear1"](x.mean(-1, keepdim=True) + seg).relu())
        return self.cam_layer["linear_local"](x) * mask.sigmoid()


class CAMPPlus(nn.Module):
    def __init__(self):
        super().__init__()
        head, width, grows = 4, 8, 4
        self.head = nn.ModuleDict(
            {
                "conv1": nn.Conv2d(1, head, 3, padding=1, bias=False),
                "bn1": nn.BatchNorm2d(head),
                "layer1": nn.Sequential(ResBlock(head, 2), ResBlock(head, 1)),
                "layer2": nn.Sequential(ResBlock(head, 2), ResBlock(head, 1)),
                "conv2": nn.Conv2d(head, head, 3, stride=(2, 1), padding=1, bias=False),
                "bn2": nn.BatchNorm2d(head),
            }
        )
        self.xvector = nn.Module()
        self.xvector.tdnn = named(
            linear=nn.Conv1d(head * 10, width, 5, stride=2, padding=2, bias=False),
            nonlinear=named(batchnorm=nn.BatchNorm1d(width), relu=nn.ReLU()),
        )
        for number, (layers, dilation) in enumerate(((2, 1), (11, 2), (2, 2)), 1):
            block = nn.ModuleDict(
                {f"tdnnd{i + 1}": CamLayer(width + i * grows, 8, grows, dilation) for i in range(layers)}
            )
            setattr(self.xvector, f"block{number}", block)
            width += layers * grows
            transit = named(
                nonlinear=named(batchnorm=nn.BatchNorm1d(width), relu=nn.ReLU()),
                linear=nn.Conv1d(width, width // 2, 1, bias=False),
            )
            setattr(self.xvector, f"transit{number}", transit)
            width //= 2
        self.xvector.out_nonlinear = named(batchnorm=nn.BatchNorm1d(width), relu=nn.ReLU())
        self.xvector.dense = named(
            linear=nn.Conv1d(2 * width, 10, 1, bias=False),
            nonlinear=named(batchnorm=nn.BatchNorm1d(10, affine=False)),
        )

    def inference(self, wave: Tensor) -> Tensor:
        """``(dim,)`` of one clip ``(samples,)`` at 16 kHz."""
        feature = fbank(wave.unsqueeze(0), num_mel_bins=80)
        x = (feature - feature.mean(dim=0, keepdim=True)).T[None]
        head = self.head
        x = head["bn1"](head["conv1"](x.unsqueeze(1))).relu()
        x = head["bn2"](head["conv2"](head["layer2"](head["layer1"](x)))).relu()
        x = self.xvector.tdnn(x.reshape(1, -1, x.shape[-1]))
        for number in (1, 2, 3):
            for layer in getattr(self.xvector, f"block{number}").values():
                x = torch.cat([x, layer(x)], dim=1)
            x = getattr(self.xvector, f"transit{number}")(x)
        x = self.xvector.out_nonlinear(x)
        stats = torch.cat([x.mean(-1), x.std(-1, unbiased=True)], -1)
        return self.xvector.dense(stats.unsqueeze(-1)).flatten()


def tiny_chatterbox(folder: Path) -> Path:
    """``ve.safetensors``, ``s3gen.safetensors`` and other files of the stock folder."""
    folder.mkdir()
    torch.manual_seed(0)
    voice = VoiceEncoder()
    with torch.no_grad():  # so that it tells voices apart
        for name, value in voice.named_parameters():
            if "weight_ih_l1" in name or "weight_ih_l2" in name:
                value.mul_(2.0)
            if "bias" in name and "similarity" not in name:
                value.zero_()
    save_file(dict(voice.state_dict()), folder / "ve.safetensors")
    state = {f"speaker_encoder.{name}": value for name, value in louder(CAMPPlus()).state_dict().items()}
    save_file(
        {**state, "flow.spk_embed_affine_layer.weight": torch.randn(3, 10)}, folder / "s3gen.safetensors"
    )
    torch.save(VoiceEncoder().state_dict(), folder / "ve.pt")
    (folder / "tokenizer.json").write_text("{}")
    return folder


def chatterbox_says(folder: Path, waves: Tensor) -> dict[str, Tensor]:
    """Path -> ``(batch, dim)`` as the stock code computes it from the folder's files."""
    voice, camp = VoiceEncoder().eval(), CAMPPlus().eval()
    voice.load_state_dict(load_file(folder / "ve.safetensors"))
    state = load_file(folder / "s3gen.safetensors")
    prefix = "speaker_encoder."
    camp.load_state_dict({n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)})
    with torch.no_grad():
        return {
            "speaker_emb": torch.stack([voice.embed(wave.numpy()) for wave in waves]),
            "embedding": torch.stack([camp.inference(wave) for wave in waves]),
        }


def spectral(*sizes: int, **options: object) -> nn.Conv2d:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.spectral_norm(nn.Conv2d(*sizes, **options))


class HalfBlock(nn.Module):
    def __init__(self, dim_in: int, dim_out: int):
        super().__init__()
        self.downsample_res = nn.Module()
        self.downsample_res.conv = spectral(dim_in, dim_in, 3, stride=2, groups=dim_in, padding=1)
        self.conv1, self.conv2 = spectral(dim_in, dim_in, 3, 1, 1), spectral(dim_in, dim_out, 3, 1, 1)
        if dim_in != dim_out:
            self.conv1x1 = spectral(dim_in, dim_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        short = self.conv1x1(x) if hasattr(self, "conv1x1") else x
        if short.shape[-1] % 2 != 0:
            short = torch.cat([short, short[..., -1].unsqueeze(-1)], dim=-1)
        x = self.downsample_res.conv(self.conv1(F.leaky_relu(x, 0.2)))
        return (F.avg_pool2d(short, 2) + self.conv2(F.leaky_relu(x, 0.2))) / math.sqrt(2)


class StyleEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        widths = (3, 4, 6, 6, 6)
        blocks = [
            spectral(1, 3, 3, 1, 1),
            *(HalfBlock(widths[i], widths[i + 1]) for i in range(4)),
            nn.LeakyReLU(0.2),
        ]
        blocks += [spectral(6, 6, 5, 1, 0), nn.AdaptiveAvgPool2d(1), nn.LeakyReLU(0.2)]
        self.shared = nn.Sequential(*blocks)
        self.unshared = nn.Linear(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.unshared(self.shared(x).view(x.size(0), -1))


STYLES = {"ref_s": "style_encoder", "ref_p": "predictor_encoder"}


def tiny_styletts2(folder: Path, module: str = "module.") -> Path:
    """``config.yml`` and a checkpoint; names begin with ``module``, as several GPUs leave it."""
    folder.mkdir()
    torch.manual_seed(0)
    net: dict[str, object] = {"decoder": {"module.weight": torch.randn(3)}}
    for name in STYLES.values():
        encoder = louder(StyleEncoder().train(), 3.0)
        net[name] = OrderedDict((module + key, value) for key, value in encoder.state_dict().items())
    torch.save(
        {"net": net, "iters": 5, "epoch": 1, "val_loss": torch.tensor(0.5)}, folder / "epochs_2nd_00020.pth"
    )
    (folder / "config.yml").write_text("model_params:\n  multispeaker: true\n  style_dim: 8\n")
    return folder


def styletts2_says(folder: Path, waves: Tensor) -> dict[str, Tensor]:
    """Path -> ``(batch, dim)`` as ``compute_style`` computes it, from ``waves`` at 24 kHz."""
    (file,) = folder.glob("*.pth")
    net = torch.load(file, weights_only=True)["net"]
    mel = MelSpectrogram(n_mels=80, n_fft=2048, win_length=1200, hop_length=300)
    seen = (torch.log(1e-5 + mel(waves)) + 4) / 4
    found: dict[str, Tensor] = {}
    for path, part in STYLES.items():
        encoder = StyleEncoder().eval()
        encoder.load_state_dict({name.removeprefix("module."): value for name, value in net[part].items()})
        with torch.no_grad():
            found[path] = encoder(seen.unsqueeze(1))
    return found
