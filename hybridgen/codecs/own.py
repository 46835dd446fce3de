"""Waveform <-> latents: a stereo variational autoencoder that works on short-time spectra, never on single samples.

Encoder: spectra of mid and side, ConvNeXt blocks at the spectral frame rate, then at the latent rate.
Decoder: the mirror image, ending in spectra and their inverse transform (as Vocos, arXiv 2306.00814).
Beside them stand a bank of tones, log-mel levels of short windows in the encoder, and short gains in the decoder.
All treat each frame alike and know no global state, so a long track can be cut into blocks without a seam.

Shapes: B batch, N samples, T latent frames, C latent channels, R spectral frames in a latent frame (of the encoder or
of the decoder, whose hops may differ), F = T·R, K = n_fft // 2 + 1 bins, D width of a frame, P pieces of the gains.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import ClassVar

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from hybridgen import ops
from hybridgen.codecs import stereo
from hybridgen.codecs.contract import BlockCodec
from hybridgen.config import Bands, Count, Size, Width
from hybridgen.spectra import mel_filters

LOWEST_TONE, HIGHEST_TONE = -41, 39  # of the bank, in semitones from A at 440 Hz
TONES_PER_SEMITONE = 3
N_TONES = (HIGHEST_TONE - LOWEST_TONE) * TONES_PER_SEMITONE + 1  # J
TONE_WINDOW = 16_384  # samples over which the encoder measures them
MIN_SAMPLE_RATE = 8500  # Hz, a little over twice the highest tone
TONE_LEVEL = -3.5  # log amplitude of a tone before anything is learned
SHORT_WINDOW = 512  # samples of the encoder's short windows, which stand side by side
GAIN_WINDOW, GAIN_HOP = 256, 128  # samples over which a gain acts, and from one to the next: 3 ms at 44.1 kHz
MAX_GAIN = 4.0  # of a gain's logarithm: 35 dB up or down
FAR = 1.6  # root mean square of a latent frame; in music one in a hundred is as far from the mean
ALARM, LOUDER = 10**0.6, 10**0.2  # power decoded over power encoded: 6 dB are corrected, to 2 dB
FULL = 0.95  # peak up to which nothing is corrected
STEP, MAX_STEPS = 0.9, 20  # of the correction


@dataclass(frozen=True)
class SpectralCodecConfig:
    """Shapes of the codec; every length in samples unless said otherwise."""

    sample_rate: Size  # Hz
    hop_length: Width  # samples in a latent frame; a multiple of frame_hop
    latent_dim: Width
    n_fft: Width  # samples in a spectral frame; an even multiple of frame_hop
    frame_hop: Width  # samples from one spectral frame to the next
    phase_bins: Width  # the encoder sees phase below this bin, and magnitudes everywhere
    band_stops: tuple[Width, ...]  # last bin + 1 of each band, ending at n_fft // 2 + 1
    band_dims: tuple[Width, ...]  # width of the projection into and out of each band
    frame_dim: Width  # width of the blocks at the rate of spectral frames
    latent_block_dim: Width  # width of the blocks at the latent rate
    encoder_layers: Count  # blocks at the rate of spectral frames
    decoder_layers: Count
    latent_layers: Count  # blocks at the latent rate, in the encoder and in the decoder
    expansion: Count  # inner width of a block over its outer width
    tone_dim: Width  # width of the projection into and out of the levels of the tones
    decoder_hop: Width | None = None  # samples between frames of the decoder; divides frame_hop, which is the default
    decoder_expansion: Count | None = None  # of the decoder's blocks at the rate of frames; default: expansion
    kernel: Count = 3  # frames that a block at the rate of spectral frames mixes; odd
    short_bands: Bands = 0  # mel bands of short windows that the encoder sees too
    gain_bands: Bands = 0  # mel bands of gains, 3 ms long, that the decoder multiplies its sound by
    any_width: bool = False  # trained on mono and on very wide sound; otherwise `stereo.normalized` keeps them away
    license: str = "Apache-2.0"  # of the weights, SPDX

    # older files: other names, and keys with the only value that they may have (see `config.build`)
    RENAMED: ClassVar = {"latent_width": "latent_block_dim"}
    RETIRED: ClassVar = {
        "tone_range": [LOWEST_TONE, HIGHEST_TONE],
        "tone_steps": TONES_PER_SEMITONE,
        "tone_window": TONE_WINDOW,
    }

    def __post_init__(self) -> None:
        if self.sample_rate < MIN_SAMPLE_RATE:
            raise ValueError(f"sample_rate {self.sample_rate} is under {MIN_SAMPLE_RATE} Hz, which the tones need")
        if self.hop_length > TONE_WINDOW:
            raise ValueError(
                f"hop_length {self.hop_length} is over {TONE_WINDOW}, the window that tones are measured in"
            )
        for field in ("hop_length", "latent_dim", "n_fft", "frame_hop", "frame_dim", "latent_block_dim", "expansion"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} {getattr(self, field)} must be at least 1")
        if self.hop_length % self.frame_hop:
            raise ValueError(f"hop_length {self.hop_length} must be a multiple of frame_hop {self.frame_hop}")
        if self.n_fft % (2 * self.frame_hop):
            raise ValueError(f"n_fft {self.n_fft} must be an even multiple of frame_hop {self.frame_hop}")
        if self.frame_hop % self.synthesis_hop:
            raise ValueError(f"decoder_hop {self.decoder_hop} must divide frame_hop {self.frame_hop}")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} must be odd")
        if self.short_bands and self.hop_length % SHORT_WINDOW:
            raise ValueError(f"short_bands need a hop_length {self.hop_length} that is a multiple of {SHORT_WINDOW}")
        if self.gain_bands and self.synthesis_hop % GAIN_HOP:
            raise ValueError(f"gain_bands need a decoder_hop {self.synthesis_hop} that is a multiple of {GAIN_HOP}")
        if list(self.band_stops) != sorted(set(self.band_stops)) or self.band_stops[-1:] != (self.n_bins,):
            raise ValueError(f"band_stops {self.band_stops} must rise and end at n_fft // 2 + 1 = {self.n_bins}")
        if len(self.band_dims) != len(self.band_stops):
            raise ValueError(f"band_dims {self.band_dims} needs one width for each of band_stops {self.band_stops}")

    @property
    def n_bins(self) -> int:
        """Bins of a spectral frame."""
        return self.n_fft // 2 + 1

    @property
    def bands(self) -> list[tuple[int, int]]:
        """First bin and last bin + 1 of each band."""
        return list(pairwise((0, *self.band_stops)))

    @property
    def ratio(self) -> int:
        """Spectral frames of the encoder in a latent frame (R)."""
        return self.hop_length // self.frame_hop

    @property
    def synthesis_hop(self) -> int:
        """Samples from one spectral frame of the decoder to the next."""
        return self.decoder_hop or self.frame_hop

    @property
    def decoder_ratio(self) -> int:
        """Spectral frames of the decoder in a latent frame (R)."""
        return self.hop_length // self.synthesis_hop


class STFT(nn.Module):
    """Short-time Fourier transform and its inverse; frame f is centered on the middle of samples [f·hop, (f+1)·hop).

    The sine window, used on both ways, makes overlapping frames add up to one without any division.
    """

    window: Tensor

    def __init__(self, n_fft: int, hop: int):
        super().__init__()
        self.n_fft, self.hop, self.pad = n_fft, hop, (n_fft - hop) // 2
        window = torch.sin(torch.pi * (torch.arange(n_fft) + 0.5) / n_fft) * (2 * hop / n_fft) ** 0.5
        self.register_buffer("window", window, persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """Complex spectra (..., F, K) of samples (..., pad + F·hop + pad)."""
        return torch.fft.rfft(samples.unfold(-1, self.n_fft, self.hop) * self.window, norm="ortho")

    def inverse(self, spectra: Tensor) -> Tensor:
        """Samples (..., F·hop) from complex spectra (..., F, K); frames beyond the ends count as silence."""
        return ops.overlap_add(torch.fft.irfft(spectra, n=self.n_fft, norm="ortho"), self.hop, self.window)


class Tones(nn.Module):
    """A bank of tones, a fraction of a semitone apart: their levels in a sound, and their sound at given levels."""

    hertz: Tensor
    hann: Tensor
    filters: Tensor
    cosines: Tensor
    sines: Tensor

    def __init__(self, sample_rate: int, hop: int, latent_hop: int):
        """hop: samples from one amplitude of a tone to the next; latent_hop: from one measured level to the next."""
        super().__init__()
        self.rate, self.hop, self.latent_hop = sample_rate, hop, latent_hop
        semitones = LOWEST_TONE + torch.arange(N_TONES, dtype=torch.float64) / TONES_PER_SEMITONE
        self.register_buffer("hertz", 440 * 2 ** (semitones / 12), persistent=False)  # (J,)
        self.pad = (TONE_WINDOW - self.latent_hop) // 2
        self.register_buffer("hann", torch.hann_window(TONE_WINDOW) * (2 / TONE_WINDOW), persistent=False)
        self.register_buffer("filters", self._filters(), persistent=False)
        cosines, sines = self._waves()
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)

    def _filters(self) -> Tensor:
        """Triangles (K', J) round each tone over the bins of the long window, at least a bin wide on each side."""
        width = self.rate / TONE_WINDOW
        n_bins = int(440 * 2 ** (HIGHEST_TONE / 12) / width) + 4  # a number: shapes are known on "meta" too
        bins = torch.arange(n_bins, dtype=torch.float64)[:, None] * width
        reach = (self.hertz * (2 ** (1 / (12 * TONES_PER_SEMITONE)) - 1)).clamp(min=width)
        return (1 - (bins - self.hertz).abs() / reach).clamp(min=0).float()

    def _waves(self) -> tuple[Tensor, Tensor]:
        """Cosine and sine of each tone from the middle of a frame on, (J, hop) each, under half of a Hann window."""
        time = (torch.arange(self.hop, dtype=torch.float64) + 0.5) / self.rate
        angle = 2 * torch.pi * self.hertz[:, None] * time
        window = torch.cos(torch.pi / 2 * (time * self.rate / self.hop)).square()
        return (angle.cos() * window).float(), (angle.sin() * window).float()

    def power(self, samples: Tensor) -> Tensor:
        """Power (..., T, J) of samples (..., pad + T·latent hop + pad) at each tone, about 1/3 for a full sine."""
        spectra = torch.fft.rfft(samples.unfold(-1, TONE_WINDOW, self.latent_hop) * self.hann)
        return torch.view_as_real(spectra[..., : len(self.filters)]).square().sum(-1) @ self.filters

    def synthesize(self, gains: Tensor, first: int) -> Tensor:
        """Samples (..., F·hop) of complex amplitudes (..., F, J); `first` is the absolute number of the first frame."""
        frames = first + torch.arange(gains.shape[-2], dtype=torch.float64, device=gains.device) + 0.5
        cycles = (frames[:, None] * self.hop * self.hertz / self.rate).frac()  # (F, J)
        turned = gains * torch.polar(torch.ones_like(cycles), 2 * torch.pi * cycles).to(gains.dtype)
        device = "cpu" if gains.is_meta else gains.device.type  # the meta device has no autocast
        with torch.autocast(device, enabled=False):  # half precision would make the oscillators hiss
            even, odd = turned.real @ self.cosines, turned.imag @ self.sines  # (..., F, hop)
            pieces = torch.cat([(even + odd).flip(-1), even - odd], -1)  # cosines are even, sines odd
        return ops.overlap_add(pieces, self.hop)


class Block(nn.Module):
    """ConvNeXt block (arXiv 2201.03545) over (B, T, D): each frame sees `kernel // 2` neighbors on each side."""

    def __init__(self, dim: int, expansion: int, kernel: int = 3):
        super().__init__()
        taps = torch.randn(kernel, dim) * 0.3
        taps[kernel // 2] += 1
        self.taps = nn.Parameter(taps)
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, expansion * dim)
        self.down = nn.Linear(expansion * dim, dim)
        self.scale = nn.Parameter(torch.full((dim,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        reach, n_frames = len(self.taps) // 2, x.shape[1]
        padded = F.pad(x, (0, 0, reach, reach))
        mixed = padded[:, :n_frames] * self.taps[0]  # a depthwise convolution
        for i, tap in enumerate(self.taps[1:], 1):
            mixed = mixed + padded[:, i : i + n_frames] * tap
        return x + self.scale * self.down(F.gelu(self.up(self.norm(mixed))))


def blocks(dim: int, expansion: int, n_layers: int, kernel: int = 3) -> nn.Sequential:
    """A stack of ConvNeXt blocks."""
    return nn.Sequential(*(Block(dim, expansion, kernel) for _ in range(n_layers)))


class ShortWindows(nn.Module):
    """When sounds begin inside a latent frame, which longer windows blur: log-mel levels of short ones."""

    def __init__(self, config: SpectralCodecConfig):
        super().__init__()
        self.sample_rate, self.n_bands, self.hop = config.sample_rate, config.short_bands, config.hop_length
        self.spectrum = STFT(SHORT_WINDOW, SHORT_WINDOW)
        self.levels = nn.Linear(2 * self.n_bands * config.hop_length // SHORT_WINDOW, config.tone_dim)
        self.out = nn.Linear(config.tone_dim, config.latent_block_dim)
        nn.init.zeros_(self.out.weight)  # at first nothing is added to what the encoder sees without them
        nn.init.zeros_(self.out.bias)

    def forward(self, sides: Tensor) -> Tensor:
        """Features (B, T, D) of mid and side (B, 2, T·hop)."""
        filters = mel_filters(self.sample_rate, SHORT_WINDOW, self.n_bands).to(sides.device)
        power = torch.view_as_real(self.spectrum(sides)).square().sum(-1) @ filters
        level = 0.125 * torch.log(power + 1e-8) + 1  # about -1.3 … 1.6
        x = rearrange(level, "b side (t r) m -> b t (side r m)", r=self.hop // SHORT_WINDOW)
        return self.out(F.gelu(self.levels(x)))


class Envelope(nn.Module):
    """Gains of 3 ms in mel bands: takes away what a spectral frame smears over the silence before an attack."""

    def __init__(self, config: SpectralCodecConfig):
        super().__init__()
        self.sample_rate, self.n_bands = config.sample_rate, config.gain_bands
        self.spectrum = STFT(GAIN_WINDOW, GAIN_HOP)

    def forward(self, sides: Tensor, gains: Tensor) -> Tensor:
        """Mid and side (B, 2, N) under logarithms of gains (B, 2, P, bands), N = P·128; zeros change nothing."""
        filters = mel_filters(self.sample_rate, GAIN_WINDOW, self.n_bands).to(sides.device)  # (K, bands)
        filters = filters / filters.sum(1, keepdim=True).clamp(min=1e-6)  # each bin takes a mean of its bands
        filters[0], filters[-1] = filters[1], filters[-2]  # the ends, which no band reaches
        size = (MAX_GAIN * torch.tanh(gains / MAX_GAIN) @ filters.mT).exp()
        spectra = self.spectrum(F.pad(sides, (self.spectrum.pad, self.spectrum.pad)))
        return self.spectrum.inverse(spectra * size)


class Encoder(nn.Module):
    """Spectra of mid and side -> mean and log variance of the latents."""

    def __init__(self, config: SpectralCodecConfig):
        super().__init__()
        self.config = config
        sizes = [2 * (b - a) + 4 * max(min(b, config.phase_bins) - a, 0) for a, b in config.bands]
        self.bands = nn.ModuleList(nn.Linear(size, dim) for size, dim in zip(sizes, config.band_dims, strict=True))
        self.mix = nn.Linear(sum(config.band_dims), config.frame_dim)
        self.frames = blocks(config.frame_dim, config.expansion, config.encoder_layers, config.kernel)
        self.tones = nn.Linear(2 * N_TONES, config.tone_dim)
        self.fold = nn.Linear(config.ratio * config.frame_dim + config.tone_dim, config.latent_block_dim)
        self.latents = blocks(config.latent_block_dim, config.expansion, config.latent_layers)
        self.norm = nn.LayerNorm(config.latent_block_dim)
        self.head = nn.Linear(config.latent_block_dim, 2 * config.latent_dim)
        self.shortcut = nn.Linear(2 * N_TONES, config.latent_dim)  # notes are learned late without it
        nn.init.constant_(self.head.bias[config.latent_dim :], -4)  # little noise at first: every channel gets used
        self.short = ShortWindows(config) if config.short_bands else None

    def forward(self, spectra: Tensor, tones: Tensor, sides: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, both (B, T, C), of mid and side.

        From their spectra (B, 2, F, K), their tones (B, 2, T, J), and for short windows themselves, (B, 2, T·hop).
        """
        x = torch.cat([band(part) for band, part in zip(self.bands, self._features(spectra), strict=True)], -1)
        x = self.frames(self.mix(F.gelu(x)))  # (B, F, D)
        tones = rearrange(tones, "b side t j -> b t (side j)")
        tone_features = F.gelu(self.tones(tones))
        folded = rearrange(x, "b (t r) d -> b t (r d)", r=self.config.ratio)
        x = self.fold(torch.cat([folded, tone_features], -1))  # (B, T, D)
        if self.short is not None:
            x = x + self.short(sides)
        mean, logvar = self.head(self.norm(self.latents(x))).float().chunk(2, -1)
        return mean + self.shortcut(tones).float(), logvar.clamp(-12, 4)

    def _features(self, spectra: Tensor) -> Iterator[Tensor]:
        """For each band (B, F, ·): log magnitudes, and power-law compressed complex values below phase_bins."""
        power = torch.view_as_real(spectra).square().sum(-1)
        level = 0.125 * torch.log(power + 1e-8) + 1  # (B, 2, F, K), about -1.3 … 1.6
        low = slice(0, self.config.phase_bins)
        tilt = (power[..., low, None] + 1e-8).pow(-0.35)
        phase = torch.view_as_real(spectra)[..., low, :] * tilt  # (B, 2, F, K', 2), magnitude to the power of 0.3
        for start, stop in self.config.bands:
            parts = [level[..., start:stop].movedim(1, 2).flatten(2)]
            if start < self.config.phase_bins:
                parts.append(phase[..., start:stop, :].movedim(1, 2).flatten(2))
            yield torch.cat(parts, -1)


class Decoder(nn.Module):
    """Latents -> spectra, tones and gains of mid and side: complex numbers without phase wraps, times log levels.

    Phases are counted from the middle of the encoder's frame that a frame of the decoder lies in.
    """

    level: Tensor

    def __init__(self, config: SpectralCodecConfig):
        super().__init__()
        self.config = config
        self.lift = nn.Linear(config.latent_dim, config.latent_block_dim)
        self.latents = blocks(config.latent_block_dim, config.expansion, config.latent_layers)
        self.unfold = nn.Linear(config.latent_block_dim, config.decoder_ratio * config.frame_dim)
        expansion = config.decoder_expansion or config.expansion
        self.frames = blocks(config.frame_dim, expansion, config.decoder_layers, config.kernel)
        self.norm = nn.LayerNorm(config.frame_dim)
        self.mix = nn.Linear(config.frame_dim, sum(config.band_dims) + config.tone_dim)
        self.bands = nn.ModuleList(
            nn.Linear(dim, 6 * (b - a)) for dim, (a, b) in zip(config.band_dims, config.bands, strict=True)
        )
        self.tones = nn.Linear(config.tone_dim, 6 * N_TONES)
        self.shortcut = nn.Linear(config.latent_dim, 2 * N_TONES)
        nn.init.normal_(self.tones.weight, std=0.02)
        with torch.no_grad():  # a cosine of steady phase, until something better is learned
            self.tones.bias.copy_(torch.tensor([0.0, 0, 1, 1, 0, 0]).repeat_interleave(N_TONES))
        level = -1.0 - 1.2 * torch.log1p(torch.arange(config.n_bins) / 8)  # music falls off like this, on average
        self.register_buffer("level", torch.stack([level, level - 1.5]), persistent=False)  # side is weaker than mid
        self.gains = None
        if config.gain_bands:
            self.gains = nn.Linear(config.frame_dim, 2 * config.gain_bands * (config.synthesis_hop // GAIN_HOP))
            nn.init.zeros_(self.gains.weight)  # at first they change nothing
            nn.init.zeros_(self.gains.bias)

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Complex spectra (B, 2, F, K), tones (B, 2, F, J), gains (B, 2, P, bands) or None from latents (B, T, C)."""
        x = self.unfold(self.latents(self.lift(latents)))
        x = self.frames(rearrange(x, "b t (r d) -> b (t r) d", r=self.config.decoder_ratio))  # (B, F, D)
        x = self.norm(x)
        *parts, tones = F.gelu(self.mix(x)).split((*self.config.band_dims, self.config.tone_dim), -1)
        values = [band(part).unflatten(2, (6, -1)) for band, part in zip(self.bands, parts, strict=True)]
        direct = self.shortcut(latents).repeat_interleave(self.config.decoder_ratio, 1)
        tones = (self.tones(tones) + F.pad(direct, (0, 2 * direct.shape[-1]))).unflatten(2, (6, -1))
        spectra = self._turned(scaled(torch.cat(values, -1), self.level[:, None]))
        return spectra, scaled(tones, TONE_LEVEL), None if self.gains is None else self._pieces(self.gains(x))

    def _turned(self, spectra: Tensor) -> Tensor:
        """Spectra whose phases count from the start of their own frames, as the inverse transform wants them."""
        n = self.config.frame_hop // self.config.synthesis_hop  # frames that count from one moment
        if n == 1:
            return spectra
        offsets = (torch.arange(n, device=spectra.device) - (n - 1) / 2) * self.config.synthesis_hop
        bins = torch.arange(self.config.n_bins, device=spectra.device)
        cycles = offsets[:, None] * bins / self.config.n_fft  # (n, K)
        turns = torch.polar(torch.ones_like(cycles), 2 * torch.pi * cycles)
        return (spectra.unflatten(2, (-1, n)) * turns).flatten(2, 3)

    def _pieces(self, gains: Tensor) -> Tensor:
        """Gains (B, 2, P, bands) of both sides in the order of time, from those of frames (B, F, ·)."""
        return rearrange(gains.float(), "b f (side p m) -> b side (f p) m", side=2, m=self.config.gain_bands)


def scaled(values: Tensor, level: Tensor | float) -> Tensor:
    """Complex (B, 2, F, ·) from values (B, F, 6, ·): of mid and side the log size above `level`, and both parts."""
    size, real, imag = values.float().movedim(2, 1).chunk(3, 1)
    size = (size + level).clamp(max=5).exp()
    return torch.complex(size * real, size * imag)


class SpectralCodec(BlockCodec):
    """Our own codec under the contract of `Codec`."""

    def __init__(self, config: SpectralCodecConfig):
        decoder_reach, encoder_reach = reaches(config)
        super().__init__(
            sample_rate=config.sample_rate,
            hop_length=config.hop_length,
            latent_dim=config.latent_dim,
            reach=decoder_reach,
            encoder_reach=encoder_reach,
            license=config.license,
        )
        self.config = config
        self.image_reach = 0 if config.any_width else stereo.context(config.hop_length)
        self.spectrum = STFT(config.n_fft, config.frame_hop)
        self.synthesis = STFT(config.n_fft, config.synthesis_hop)
        self.tones = Tones(config.sample_rate, config.synthesis_hop, config.hop_length)
        self.envelope = Envelope(config) if config.gain_bands else None
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def forward(self, samples: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A training pass: samples (B, 2, N) decoded from a draw of the posterior, its mean and its log variance.

        noise (B, T, C): standard normal, makes the draw. The output is as long as the latents, a multiple of the hop.
        """
        mean, logvar = self.posterior(samples)
        return self.decode(self.normalize(mean + noise * (0.5 * logvar).exp())), mean, logvar

    def posterior(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance (B, T, C) of the raw latents of samples (B, 2, N); T = ceil(N / hop_length)."""
        n_latents = ceil(samples.shape[-1] / self.hop_length)
        rest = n_latents * self.hop_length - samples.shape[-1]
        sides = mid_side(F.pad(samples, (self.tones.pad, rest + self.tones.pad)))
        inner = self.tones.pad - self.spectrum.pad
        levels = 0.125 * torch.log(self.tones.power(sides) + 1e-9) + 1.5  # about -1 … 1.5
        inside = sides[..., self.tones.pad : sides.shape[-1] - self.tones.pad]
        return self.encoder(self.spectrum(sides[..., inner:-inner]), levels, inside)

    def _select(self, held: Tensor, start: int, stop: int) -> Tensor:
        if self.config.any_width:
            return super()._select(held, start, stop)
        low, high = max(start - self.image_reach, 0), stop + self.image_reach
        samples = held[..., low * self.hop_length : high * self.hop_length]
        sides = mid_side(samples)
        image = stereo.normalized(sides, self.hop_length)
        samples = samples if image is sides else mid_side(image)
        return samples[..., (start - low) * self.hop_length : (stop - low) * self.hop_length]

    def _encode_inside(self, samples: Tensor) -> Tensor:
        raw = self.posterior(samples)[0]
        is_far = self.normalize(raw).square().mean(-1).amax(1) > FAR**2
        for row in is_far.nonzero().flatten():
            raw[row] = self._quieted(raw[row, None], *self._levels(samples[row, None]))[0]
        return raw

    def _quieted(self, raw: Tensor, power: Tensor, peaks: Tensor) -> Tensor:
        """Raw latents (1, T, C), those that would be decoded too loud for `_levels` drawn towards the mean.

        The decoder writes log magnitudes: far from what it was trained on, it is wrong by tens of decibels.
        """
        limit = ALARM  # where nothing is as loud as that, nothing is touched
        for _ in range(MAX_STEPS):
            new_power, new_peaks = self._levels(self._decode_inside(raw, 0))
            loud = (new_power > limit * power) | (new_peaks > peaks.clamp(min=FULL))
            if not loud.any():
                break
            limit = LOUDER
            raw = torch.where(loud[..., None], self.latent_mean + STEP * (raw - self.latent_mean), raw)
        return raw

    def _levels(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Power, never under -45 dB, and peak of samples (B, 2, N) in two latent frames each way: (B, T) each."""
        n_frames = ceil(samples.shape[-1] / self.hop_length)
        padded = F.pad(samples, (0, n_frames * self.hop_length - samples.shape[-1]))
        frames = padded.unflatten(-1, (n_frames, self.hop_length))
        power = F.avg_pool1d(frames.square().mean((1, 3))[:, None], 5, 1, 2, count_include_pad=False)[:, 0]
        return power + 3e-5, F.max_pool1d(frames.abs().amax((1, 3))[:, None], 5, 1, 2)[:, 0]

    def _decode_inside(self, raw: Tensor, first: int) -> Tensor:
        spectra, tones, gains = self.decoder(raw)
        sides = self.synthesis.inverse(spectra) + self.tones.synthesize(tones, first * self.config.decoder_ratio)
        return mid_side(sides if self.envelope is None else self.envelope(sides, gains))


def reaches(config: SpectralCodecConfig) -> tuple[int, int]:
    """Latent frames on each side that decoder and encoder depend on."""
    beyond = (config.n_fft - config.synthesis_hop) // 2  # samples that a frame reaches out of its hop
    beyond += GAIN_WINDOW - 1 if config.gain_bands else 0
    neighbors = config.kernel // 2  # of a frame, that a block mixes with it
    decoder = config.latent_layers * config.decoder_ratio + neighbors * config.decoder_layers
    decoder += ceil(beyond / config.synthesis_hop)
    overlap = config.n_fft // (2 * config.frame_hop)
    spectra = ceil((neighbors * config.encoder_layers + overlap) / config.ratio)
    encoder = config.latent_layers + max(spectra, ceil(TONE_WINDOW / (2 * config.hop_length)))
    return ceil(decoder / config.decoder_ratio), encoder


def mid_side(samples: Tensor) -> Tensor:
    """Left and right (B, 2, N) to mid and side, or back: the rotation is its own inverse."""
    left, right = samples.unbind(1)
    return torch.stack([left + right, left - right], 1) * 0.5**0.5
