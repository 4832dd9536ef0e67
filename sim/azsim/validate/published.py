"""Published figures, as printed in the papers; each table says where it is from and how sure.

Marks: [S] read in a public source; [M] recalled from the paper and confirmed by an arithmetic
identity between its figures; [C] computed.
"""

from __future__ import annotations

from typing import NamedTuple

EIE_SOURCE = (
    "[M] S. Han et al., EIE: Efficient Inference Engine on Compressed Deep Neural Network, "
    "ISCA 2016: table of benchmarks (shapes, densities), table of theoretical and actual times, "
    "64 processing elements at 800 MHz."
)
ESE_SOURCE = (
    "[M] S. Han et al., ESE: Efficient Speech Recognition Engine with Sparse LSTM on FPGA, "
    "FPGA 2017: table of the layers of the LSTM, 32 processing elements for each of 32 channels at "
    "200 MHz."
)
EYERISS_SOURCE = (
    "[S] cycles of a sparse MobileNet on one Eyeriss v2 PE, as the Sparseloop project (MICRO 2022) "
    "compares with: Accelergy-Project/micro22-sparseloop-artifact, fig12_eyerissv2_pe_setup, "
    "scripts/ground_truth_cycles.yaml; masks beside it under workload/mobilenet0.5-sparse."
)


class EieLayer(NamedTuple):
    """A fully connected layer of EIE's benchmarks; densities are printed averages of the nets.

    bias_column  the bias is one more column, with activation 1, beyond `inputs`
    tolerance    of the ratio of actual to theoretical time
    """

    name: str
    inputs: int
    outputs: int
    weight_percent: float
    activation_percent: float
    theoretical_us: float
    actual_us: float
    bias_column: bool = True
    tolerance: float = 0.12


# NT-LSTM: 1201 = 600 inputs + 600 recurrent + 1, so its bias column is among the inputs.
# NT-We: its printed actual time is itself only trusted to 20 %.
EIE_LAYERS = (
    EieLayer("Alex-6", 9216, 4096, 9, 35.1, 28.1, 30.3),
    EieLayer("Alex-7", 4096, 4096, 9, 35.3, 11.7, 12.2),
    EieLayer("Alex-8", 4096, 1000, 25, 37.5, 8.9, 9.9),
    EieLayer("VGG-6", 25088, 4096, 4, 18.3, 28.1, 34.4),
    EieLayer("VGG-7", 4096, 4096, 4, 37.5, 7.9, 8.7),
    EieLayer("VGG-8", 4096, 1000, 23, 41.1, 7.3, 8.4),
    EieLayer("NT-We", 4096, 600, 10, 100, 5.2, 8.0, tolerance=0.20),
    EieLayer("NT-Wd", 600, 8791, 11, 100, 13.0, 13.9),
    EieLayer("NT-LSTM", 1201, 2400, 10, 100, 6.5, 7.5, bias_column=False),
)
EIE_MEAN_TOLERANCE = 0.05
EIE_POWER_SOURCE = (
    "[M] S. Han et al., EIE, ISCA 2016: table of the implementation of one processing element in "
    "45 nm: 9.157 mW and its parts (590 mW for 64 of them)."
)
EIE_PE_MW = 9.157
EIE_SHARES = {
    "matrix read": 0.541,
    "pointer read": 0.197,
    "arithmetic": 0.127,
    "activations": 0.123,
    "queue": 0.012,
}
EIE_POWER_TOLERANCE, EIE_SHARE_TOLERANCE = 0.30, 0.08


class EseMatrix(NamedTuple):
    """A recurrent matrix of ESE's LSTM. `entries` holds the padding of the 4-bit index."""

    name: str
    rows: int
    columns: int
    entries: int
    theoretical_us: float
    actual_us: float


ESE_MATRICES = (
    EseMatrix("W_ir", 1024, 512, 59_360, 9.3, 10.31),
    EseMatrix("W_fr", 1024, 512, 60_416, 9.4, 10.01),
    EseMatrix("W_cr", 1024, 512, 58_880, 9.2, 9.89),
    EseMatrix("W_or", 1024, 512, 60_128, 9.4, 10.04),
)
ESE_TOLERANCE = 0.03

# Sparse 1x1 layers for which the source has masks, and their cycles on one Eyeriss v2 PE.
EYERISS_CYCLES = {
    "L07": 1_702_140,
    "L09": 1_499_682,
    "L13": 1_144_158,
    "L19": 1_457_458,
    "L21": 1_677_684,
    "L23": 1_821_557,
    "L25": 948_572,
    "L27": 775_316,
}


class ConvLayer(NamedTuple):
    """A convolution over time of wav2letter, SAME padding."""

    name: str
    channels: int
    outputs: int
    kernel: int
    stride: int = 1
    relu: bool = True


# 3,491 M MACs and 23.59 M weights over 296 frames of 39 features confirm the shapes.
WAV2LETTER_FRAMES = 296
WAV2LETTER_SPARSITY = 0.5
WAV2LETTER = (
    ConvLayer("conv1", 39, 250, 48, stride=2),
    *(ConvLayer(f"conv{k}", 250, 250, 7) for k in range(2, 9)),
    ConvLayer("conv9", 250, 2000, 32),
    ConvLayer("conv10", 2000, 2000, 1),
    ConvLayer("conv11", 2000, 29, 1, relu=False),
)
WAV2LETTER_MEGA_MACS = 3491.0
WAV2LETTER_MEGA_WEIGHTS = 23.59
U55_CYCLES = (28.45, 30.16)  # million, least and most published
U55_TOLERANCE = 0.08
U55_BITS_PER_WEIGHT = 4.72  # 13.92 MB of compressed weights
U55_SOURCE = (
    "[S] Arm Ethos-U55, 128 MACs per cycle, wav2letter pruned to 50 % and quantized to int8,"
    " weights from flash at 1 byte per cycle: NPU cycles of one inference as published for two"
    " set-ups, and the size of its compressed weights."
)


class SystolicLayer(NamedTuple):
    """A layer on SCALE-Sim's weight-stationary array of 32 x 32: a topology file, and the cycles
    that its report prints, total less stalls.
    """

    name: str
    topology: str
    cycles: int


_PRODUCT = "Layer Name, M, N, K,\n"
_CONV = (
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, "
    "Strides,\n"
)
SCALESIM_LAYERS = (
    SystolicLayer("GEMM 256x128x256", f"{_PRODUCT}Test 1, 256, 128, 256,", 52_447 - 41_248),
    SystolicLayer("AlexNet Conv1", f"{_CONV}Conv1, 224, 224, 11, 11, 3, 96, 4,", 112_283),
)
SCALESIM_SOURCE = (
    "[S] SCALE-Sim v2 (scalesim-project/scale-sim-v2), golden reports of its own tests, array of "
    "32 x 32 (configs/scale.cfg): test/general/golden_trace_user_ws/COMPUTE_REPORT.csv, commit "
    "18975c24, of topologies/GEMM_mnk/test_mnk_input.csv: 52,447 cycles, 41,248 of them stalls; "
    "test/golden_trace/COMPUTE_REPORT.csv, commit 213cd1b2, of "
    "topologies/conv_nets/alexnet_part.csv: 112,283 cycles, no stalls."
)
