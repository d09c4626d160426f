"""What a speaker encoder's ``hyperparams.yaml`` may name: exactly these, and nothing below or beside them."""

from __future__ import annotations

_ACTIVATIONS = frozenset(
    f"torch.nn.{name}"
    for name in (
        "ELU", "GELU", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LeakyReLU", "LogSoftmax", "Mish", "PReLU",
        "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh",
    )
)  # fmt: skip
_LAYERS = frozenset(
    {
        *(f"torch.nn.{name}" for name in (
            "BatchNorm1d", "BatchNorm2d", "ConstantPad1d", "Conv1d", "Conv2d", "Dropout", "Flatten", "GroupNorm", "LayerNorm",
            "Linear", "MaxPool1d", "ModuleList", "RMSNorm", "Sequential", "Unflatten",
        )),
        "speechbrain.nnet.CNN.Conv1d",
        "speechbrain.nnet.activations.Softmax",
        "speechbrain.nnet.containers.ConnectBlocks",
        "speechbrain.nnet.containers.LengthsCapableSequential",
        "speechbrain.nnet.containers.ModuleList",
        "speechbrain.nnet.containers.Sequential",
        "speechbrain.nnet.linear.Linear",
        "speechbrain.nnet.normalization.BatchNorm1d",
        "speechbrain.nnet.normalization.LayerNorm",
        "speechbrain.nnet.pooling.StatisticsPooling",
    }
)  # fmt: skip
_COMBINED = frozenset(f"torch.{name}" for name in ("add", "cat", "div", "mul", "sub"))

CALLED = (
    _ACTIVATIONS
    | _LAYERS
    | {
        "speechbrain.dataio.encoder.CategoricalEncoder",
        "speechbrain.dataio.preprocess.AudioNormalizer",
        "speechbrain.lobes.features.Fbank",
        "speechbrain.lobes.features.MFCC",
        "speechbrain.lobes.models.ECAPA_TDNN.Classifier",
        "speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN",
        "speechbrain.lobes.models.ResNet.Classifier",
        "speechbrain.lobes.models.ResNet.ResNet",
        "speechbrain.lobes.models.Xvector.Classifier",
        "speechbrain.lobes.models.Xvector.Xvector",
        "speechbrain.processing.features.InputNormalization",
        "speechbrain.utils.parameter_transfer.Pretrainer",
    }
)
"""With ``!new:``: built with their arguments. None of them imports, opens or evaluates one."""
NAMED = _ACTIVATIONS | _LAYERS | _COMBINED
"""With ``!name:``: handed on as classes or functions, which the model then calls."""
APPLIED = frozenset({"speechbrain.nnet.containers.ConnectBlocks.append"})
"""With ``!apply:``: what fills a container of SpeechBrain, as gates need it. It is taken and never called here."""
