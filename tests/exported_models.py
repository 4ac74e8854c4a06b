"""Small models of every recipe, made by rule and not trained, for tests of their export."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seqkit.config import replace
from seqkit.data.vocab import CharVocab, WordVocab
from seqkit.recipe import preset
from seqkit.recipes.captioning import recipe as captioning
from seqkit.recipes.captioning.model import make_captioner
from seqkit.recipes.captioning.predictor import CaptionPredictor
from seqkit.recipes.captioning.predictor import Member as CaptionMember
from seqkit.recipes.common.image_encoder import ImageEncoderConfig, make_image_encoder, pixel_reader
from seqkit.recipes.grounding import recipe as grounding
from seqkit.recipes.grounding.model import GroundingModel
from seqkit.recipes.grounding.predictor import GroundingPredictor
from seqkit.recipes.grounding.predictor import Member as GroundingMember
from seqkit.recipes.language_model import recipe as language_model
from seqkit.recipes.language_model.data import symbols_of
from seqkit.recipes.language_model.model import LanguageModelPredictor, make_decoder
from seqkit.recipes.language_model.model import Member as LanguageMember
from seqkit.recipes.lipreading import lipnet, wlas
from seqkit.recipes.lipreading.attention_model import SpeechPredictor
from seqkit.recipes.lipreading.ctc_model import CtcPredictor
from seqkit.recipes.lipreading.data import StreamReader
from seqkit.recipes.lipreading.input_config import STREAMS, InputStatistics
from seqkit.recipes.translation import recipe as translation
from seqkit.recipes.translation.data import Vocabs
from seqkit.recipes.translation.model import TranslationPredictor, make_model
from seqkit.recipes.vqa import recipe as vqa
from seqkit.recipes.vqa.data import Answers
from seqkit.recipes.vqa.model import VQAModel
from seqkit.recipes.vqa.predictor import AnswerPredictor
from seqkit.recipes.vqa.predictor import Member as AnswerMember

WORDS = WordVocab.train(["a bb, ccc. dddd (eeeee) f gg hhh iiii jjjjj"])
CHARS = CharVocab.train(["abcdefghij "])
IMAGES = ImageEncoderConfig(backbone="small_cnn", weights="random", image_size=32)
STATISTICS = {
    "video": InputStatistics("pixels", (0.5,), (0.2,)),
    "audio": InputStatistics("features", (0.0,) * 4, (1.0,) * 4),
}


def sharpened(model: nn.Module) -> nn.Module:
    """The model with larger weights, so that its outputs are far from ties and end at different lengths."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "image_encoder" not in name and "frontend" not in name:
                weight.mul_(1.6).add_(0.02 * torch.randn_like(weight))
    return model.eval()


def make(task: str, **fields: Any) -> tuple[Any, Any]:
    """A predictor and its config: the preset `tiny`, smaller, with `fields` changed."""
    torch.manual_seed(3)
    return MAKERS[task](fields)


def config_of(recipe: Any, small: Mapping[str, Any], fields: Mapping[str, Any]) -> Any:
    return replace(preset(recipe, "tiny"), {**small, **fields})


def make_translation(fields: Mapping[str, Any]) -> tuple[Any, Any]:
    small = dict(embed_dim=12, encoder_dim=8, decoder_dim=16, attention_dim=8, readout_dim=12, units="words")
    config = config_of(translation.RECIPE, small, fields)
    model: Any = sharpened(make_model(config.network, Vocabs(WORDS, WORDS)))
    return TranslationPredictor((model,), Vocabs(WORDS, WORDS), config.search), config


def make_captioning(fields: Mapping[str, Any]) -> tuple[Any, Any]:
    small = dict(embed_dim=12, decoder_dim=16, attention_dim=8, proj_dim=8, readout_dim=12, backbone="small_cnn")
    config = config_of(captioning.RECIPE, {**small, **IMAGE_FIELDS}, fields)
    encoder = make_image_encoder(config.image_encoder)
    model: Any = sharpened(make_captioner(config.network, encoder, len(WORDS)))
    member = CaptionMember(model, pixel_reader(encoder), config.image_encoder)
    return CaptionPredictor((member,), WORDS, config.search), config


IMAGE_FIELDS = dict(weights="random", image_size=32, output_stage=None, unfreeze_from=None)


def make_vqa(fields: Mapping[str, Any]) -> tuple[Any, Any]:
    small = dict(embed_dim=8, text_dim=8, attention_dim=8, fused_dim=36, backbone="small_cnn", **IMAGE_FIELDS)
    config = config_of(vqa.RECIPE, small, fields)
    encoder = make_image_encoder(config.image_encoder) if config.network.fusion else None
    answers = Answers(("yes", "no", "red", "two"), {"": "yes"}, 9)
    model: Any = VQAModel(config.network, config.text_encoder, encoder, len(WORDS), len(answers.texts)).eval()
    member = AnswerMember(model, pixel_reader(encoder) if encoder else None, config.image_encoder, config.text)  # type: ignore[arg-type]
    return AnswerPredictor((member,), WORDS, answers, 4), config


def make_grounding(fields: Mapping[str, Any]) -> tuple[Any, Any]:
    small = dict(embed_dim=8, text_dim=8, attention_dim=8, fused_dim=36, backbone="small_cnn", **IMAGE_FIELDS)
    config = config_of(grounding.RECIPE, small, fields)
    encoder = make_image_encoder(config.image_encoder)
    model: Any = GroundingModel(config.network, config.text_encoder, encoder, len(WORDS)).eval()
    member = GroundingMember(model, pixel_reader(encoder), config.image_encoder)
    return GroundingPredictor((member,), WORDS, 4), config


def make_language_model(fields: Mapping[str, Any]) -> tuple[Any, Any]:
    config = config_of(language_model.RECIPE, dict(kind="recurrent", embed_dim=8, hidden_dim=12), fields)
    decoder: Any = sharpened(make_decoder(config.network, len(CHARS)))
    member = LanguageMember(config.text, None, symbols_of(CHARS), None, decoder)
    return LanguageModelPredictor((member,), config.search), config


SPEECH = dict(frame_size=(16, 16), channels=0.1, video_dim=6)


def make_lipnet(fields: Mapping[str, Any]) -> tuple[Any, Any]:
    fields = dict(fields)
    kind = fields.pop("kind", "pixels")
    config = config_of(lipnet.RECIPE, {**SPEECH, "window_dim": 8}, fields)
    statistics = {"video": STATISTICS["video" if kind == "pixels" else "audio"]}
    reader = StreamReader(config.video, config.feature, wlas.AudioConfig(), statistics)
    model: Any = sharpened(lipnet.make_model(config, reader, CHARS))
    return CtcPredictor((model,), (reader,), CHARS, dataclasses.replace(config.search, beam=1)), config


def make_wlas(fields: Mapping[str, Any]) -> tuple[Any, Any]:
    small = dict(audio_dim=5, decoder_dim=14, attention_dim=8, embed_dim=8, readout_dim=10)
    config = config_of(wlas.RECIPE, {**SPEECH, **small}, fields)
    modality = config.network.modality
    statistics = {name: STATISTICS[name] for name in STREAMS[modality]}
    reader = StreamReader(config.video, config.feature, config.audio, statistics)
    model: Any = sharpened(wlas.make_model(config, reader, CHARS))
    return SpeechPredictor((model,), (reader,), CHARS, modality, config.search), config


MAKERS = {
    "translation": make_translation,
    "captioning": make_captioning,
    "vqa": make_vqa,
    "grounding": make_grounding,
    "language_model": make_language_model,
    "lipnet": make_lipnet,
    "wlas": make_wlas,
}


def exported(task: str, folder: Path, *, int8: bool = False, **fields: Any) -> tuple[Any, Any]:
    """A predictor and the beam.py's model of its export in `folder`."""
    from seqkit.export import beam
    from seqkit.export.command import write_export
    from seqkit.tasks import find_export

    predictor, config = make(task, **fields)
    write_export(task, find_export(task)(predictor, config), folder, int8=int8)
    return predictor, beam.Model(folder, threads=1)
