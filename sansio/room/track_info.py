"""`TrackInfo`, the public face of a published track: made from an `add_track` request, filled in as media is known.

Layers. A client declares qualities and sends as many simulcast streams; stream 0 is the smallest. With three declared
qualities the index is the quality; with two it is the place in the declared list; with one it is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..sfu import PublishedLayer, Quality
from ..wire import models, rtc

AUDIO = models.TrackType.AUDIO
VIDEO = models.TrackType.VIDEO
Source = models.TrackSource
Mode = models.VideoLayer.Mode
Feature = models.AudioTrackFeature
BackupPolicy = models.BackupCodecPolicy

SVC_MIMES = ("video/vp9", "video/av1")
KIND_NAMES = {int(AUDIO): "audio", int(VIDEO): "video"}
SOURCE_NAMES = {
    int(Source.CAMERA): "camera",
    int(Source.MICROPHONE): "microphone",
    int(Source.SCREEN_SHARE): "screen_share",
    int(Source.SCREEN_SHARE_AUDIO): "screen_share_audio",
}
_STREAMS = {"camera": "camera", "microphone": "camera", "screen_share": "screen", "screen_share_audio": "screen"}


def kind_name(track_type: int) -> str:
    return KIND_NAMES[track_type]


def source_name(source: int) -> str:
    return SOURCE_NAMES.get(source, "unknown")


def canonical_mime(kind: str, codec: str) -> str:
    """`video/VP8` and the like, as LiveKit spells them, from an rtpmap name."""
    known = {"vp8": "VP8", "vp9": "VP9", "h264": "H264", "h265": "H265", "av1": "AV1", "opus": "opus", "red": "red",
             "pcmu": "PCMU", "pcma": "PCMA"}  # fmt: skip
    return f"{kind}/{known.get(codec.lower(), codec)}"


def track_info(request: rtc.AddTrackRequest, sid: str, enabled_mimes: Sequence[str]) -> models.TrackInfo:
    """The first `TrackInfo` of a requested track, before any media."""
    layers = _by_quality(request.layers)
    info = models.TrackInfo(
        sid=sid,
        type=request.type,
        name=request.name,
        muted=request.muted,
        width=request.width,
        height=request.height,
        source=request.source,
        layers=layers,
        disable_dtx=request.disable_dtx,
        stereo=request.stereo,
        disable_red=request.disable_red,
        encryption=request.encryption,
        stream=request.stream or _STREAMS.get(source_name(request.source), "unknown"),
        packet_trailer_features=request.packet_trailer_features,
    )
    info.audio_features.extend(_audio_features(request))
    if request.type == AUDIO and request.backup_codec_policy != BackupPolicy.REGRESSION:
        info.backup_codec_policy = BackupPolicy.SIMULCAST
    else:
        info.backup_codec_policy = request.backup_codec_policy
    info.codecs.extend(_codec_infos(request, layers, enabled_mimes))
    first = info.codecs[0]
    info.simulcast = (
        request.type == VIDEO and first.video_layer_mode != Mode.MULTIPLE_SPATIAL_LAYERS_PER_STREAM and len(layers) > 1
    )
    info.mime_type = first.mime_type
    return info


def _audio_features(request: rtc.AddTrackRequest) -> list[models.AudioTrackFeature]:
    if request.type != AUDIO:
        return []
    features = list(dict.fromkeys(request.audio_features))
    if request.stereo and Feature.TF_STEREO not in features:
        features.append(Feature.TF_STEREO)
    if request.disable_dtx and Feature.TF_NO_DTX not in features:
        features.append(Feature.TF_NO_DTX)
    return features


def _codec_infos(
    request: rtc.AddTrackRequest, layers: Iterable[models.VideoLayer], enabled_mimes: Sequence[str]
) -> list[models.SimulcastCodecInfo]:
    kind = kind_name(request.type)
    enabled = [
        mime.lower()
        for mime in enabled_mimes
        if mime.lower().startswith(f"{kind}/") and not mime.lower().endswith("/rtx")
    ]
    if not request.simulcast_codecs:
        return [
            models.SimulcastCodecInfo(
                cid=request.cid, layers=layers, video_layer_mode=Mode.ONE_SPATIAL_LAYER_PER_STREAM
            )
        ]
    infos = []
    for codec in request.simulcast_codecs:
        wanted = codec.codec.lower()
        mime = wanted if "/" in wanted else f"{kind}/{wanted}"
        if enabled and mime not in enabled:
            mime = enabled[0]
        infos.append(
            models.SimulcastCodecInfo(
                mime_type=mime if codec.codec else "",
                cid=codec.cid,
                layers=_by_quality(codec.layers) or layers,
                video_layer_mode=codec.video_layer_mode or _layer_mode(mime),
            )
        )
    return infos


def _by_quality(layers: Iterable[models.VideoLayer]) -> list[models.VideoLayer]:
    return sorted(layers, key=lambda layer: layer.quality)


def _layer_mode(mime: str) -> models.VideoLayer.Mode:
    return Mode.MULTIPLE_SPATIAL_LAYERS_PER_STREAM if mime in SVC_MIMES else Mode.ONE_SPATIAL_LAYER_PER_STREAM


def published_layers(info: models.TrackInfo) -> tuple[PublishedLayer, ...]:
    """The declared layers of a track, lowest first."""
    layers = _by_quality(info.layers)
    return tuple(
        PublishedLayer(quality=quality_of(layer.quality), width=layer.width, height=layer.height)
        for layer in layers
        if layer.quality <= Quality.HIGH
    )


def quality_of(number: int) -> Quality:
    """A wire number as a quality; unknown ones count as HIGH."""
    return Quality(number) if number in (0, 1, 2, 3) else Quality.HIGH
