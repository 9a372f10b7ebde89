"""Measures of panoptic maps against the truth."""

from pansight.metrics.coco_evaluation import evaluate_coco
from pansight.metrics.evaluation import Evaluation, EvaluationResult
from pansight.metrics.panoptic_quality import PanopticQuality
from pansight.metrics.remarks import EvaluationWarning
from pansight.metrics.results import ClassQuality, PanopticQualityResult, Quality
from pansight.metrics.video_evaluation import VideoEvaluation, VideoResult, evaluate_video

__all__ = [
    "ClassQuality",
    "Evaluation",
    "EvaluationResult",
    "EvaluationWarning",
    "PanopticQuality",
    "PanopticQualityResult",
    "Quality",
    "VideoEvaluation",
    "VideoResult",
    "evaluate_coco",
    "evaluate_video",
]
