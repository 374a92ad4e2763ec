"""The specification of every classifier, readable without torch."""

from dataclasses import dataclass, field

from amc_core.fields import Field
from amc_core.models import scikit

PART = r"\w+([.+]\w+)*"  # the name of a part of a network: a submodule, or several joined with +


@dataclass(frozen=True)
class ModelSpec:
    """What is known of an architecture before it is built.

    `year` and `source` give its publication. `target` is "module:class", imported on first use. `min_length` is the
    shortest instance, in samples, that the architecture takes; `shortest_length` considers its hyperparameters too.
    With `any_length`, the weights do not depend on the length: the same trained network classifies instances of every
    length from `min_length`. A model without `epochs` is fitted in one step, by its `fit`, and ignores most of a
    recipe. A model that `knows_setting` needs no training: it is given the setting of every instance that it
    classifies. `parts` of the network can be retrained alone (see `trained_part`); "statistics" are those of its batch
    normalisation. With `of_classifier`, the arguments of the scikit-learn class that the hyperparameter `classifier`
    names are hyperparameters too. `feature_maps` names the submodules that end in the last convolutional layer, for
    `saliency`; it is empty if `saliency` is not defined.
    """

    name: str
    title: str
    year: int
    source: str
    target: str
    min_length: int
    any_length: bool
    epochs: bool = True
    knows_setting: bool = False
    parts: tuple[str, ...] = ("head",)
    feature_maps: tuple[str, ...] = ()
    hyperparameters: dict[str, Field] = field(default_factory=dict)
    of_classifier: bool = False


_CLASSNET = {
    "blocks": Field(6, 1, 10, help="Residual blocks of ClassNet; each has half the length of the one before."),
    "cardinality": Field(2, 1, 64, help="Parallel paths of a block."),
    "width": Field(16, 1, 256, help="Channels of a path."),
    "channels": Field(32, 1, 1024, help="Channels between blocks."),
}
_PAPER_CONSTANT = [0.7, -0.7, 0.1, 0.3, 0.7, 0.2]
_IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="hoc_svm",
            title="HOC-SVM",
            year=2021,
            source="P1 §IV-B: eleven higher-order cumulants into a linear SVM",
            target="amc_core.models.hoc_svm:HOCSVM",
            min_length=8,
            any_length=True,
            epochs=False,
            parts=(),
        ),
        ModelSpec(
            name="hoc",
            title="HOC",
            year=2021,
            source="P1 §II: eleven higher-order cumulants into any scikit-learn classifier",
            target="amc_core.models.hoc:HOCClassifier",
            min_length=8,
            any_length=True,
            epochs=False,
            parts=(),
            hyperparameters={
                "classifier": Field(
                    scikit.USUAL,
                    reader=scikit.read_path,
                    schema_of=lambda: {"type": "string", "pattern": r"^sklearn(\.\w+)+$"},
                    help="The path of a scikit-learn classifier; its arguments are given beside it.",
                )
            },
            of_classifier=True,
        ),
        ModelSpec(
            name="likelihood",
            title="Likelihood",
            year=2000,
            source="Wei and Mendel 2000: average likelihood of linear modulations with known setting; no training",
            target="amc_core.models.likelihood:LikelihoodClassifier",
            min_length=8,
            any_length=True,
            epochs=False,
            knows_setting=True,
            parts=(),
        ),
        ModelSpec(
            name="cnn1d",
            title="1D-CNN",
            year=2018,
            source="P1 §IV-B [13]",
            target="amc_core.models.cnn1d:CNN1D",
            min_length=128,
            any_length=False,
            parts=("head", "statistics"),
            feature_maps=("features",),
            hyperparameters={"batch_norm": Field(False, help="Batch normalisation after every pooling layer.")},
        ),
        ModelSpec(
            name="stn_resnext",
            title="STN-ResNeXt",
            year=2021,
            source="P1 §VI-A, Figs. 10 and 11",
            target="amc_core.models.stn_resnext:STNResNeXt",
            min_length=64,
            any_length=True,
            parts=("head", "stn_block"),
            feature_maps=("classnet.blocks", "classnet_transformed.blocks"),
            hyperparameters={
                **_CLASSNET,
                "localizer_blocks": Field(3, 1, 10, help="Blocks of the localizer."),
                "localizer_constant": Field(
                    _PAPER_CONSTANT,
                    -2,
                    2,
                    presets={"paper": _PAPER_CONSTANT, "identity": _IDENTITY},
                    help="The transformation from which training starts.",
                ),
                "transform": Field(
                    "time", choices=("time", "time_iq"), help="Transform time alone, or I and Q as well."
                ),
            },
        ),
        ModelSpec(
            name="classnet",
            title="ClassNet",
            year=2021,
            source="P1 §VI-B: STN-ResNeXt with only its ClassNet branch",
            target="amc_core.models.classnet:ClassNetClassifier",
            min_length=64,
            any_length=True,
            feature_maps=("classnet.blocks",),
            hyperparameters=_CLASSNET,
        ),
        ModelSpec(
            name="lstm",
            title="LSTM",
            year=2018,
            source="P1 §IV-B [12], Rajendran et al. 2018",
            target="amc_core.models.lstm:LSTM",
            min_length=8,
            any_length=True,
        ),
        ModelSpec(
            name="pf_cnn",
            title="PF-CNN",
            year=2019,
            source="P1 §IV-B [14], Perenda et al. 2019 (a reconstruction)",
            target="amc_core.models.pf_cnn:PFCNN",
            min_length=102,
            any_length=False,
            feature_maps=("fusion",),
        ),
        ModelSpec(
            name="cnn2d",
            title="2D-CNN",
            year=2016,
            source="P1 §IV-B [11], O'Shea et al. 2016 (VT-CNN2); P2 §III, RML-ConvNet",
            target="amc_core.models.cnn2d:CNN2D",
            min_length=8,
            any_length=False,
            feature_maps=("features",),
        ),
        ModelSpec(
            name="resnet",
            title="ResNet",
            year=2018,
            source="P1 §IV-B [13], O'Shea, Roy and Clancy 2018; P2 §III, RML-ResNet",
            target="amc_core.models.resnet:ResNet",
            min_length=64,
            any_length=False,
            feature_maps=("stacks",),
        ),
        ModelSpec(
            name="vgg",
            title="RML-CNN/VGG",
            year=2018,
            source="P2 §III, O'Shea, Roy and Clancy 2018",
            target="amc_core.models.vgg:VGG",
            min_length=128,
            any_length=False,
            feature_maps=("features",),
        ),
        ModelSpec(
            name="mod_lcnn",
            title="Mod-LCNN",
            year=2021,
            source="P2 §III",
            target="amc_core.models.mod_lcnn:ModLCNN",
            min_length=8,
            any_length=True,
            feature_maps=("features",),
        ),
        ModelSpec(
            name="mod_lrcnn",
            title="Mod-LRCNN",
            year=2021,
            source="P2 §III",
            target="amc_core.models.mod_lrcnn:ModLRCNN",
            min_length=8,
            any_length=True,
            feature_maps=("features",),
        ),
        ModelSpec(
            name="mcldnn",
            title="MCLDNN",
            year=2020,
            source="Xu et al., IEEE Wireless Commun. Lett.",
            target="amc_core.models.mcldnn:MCLDNN",
            min_length=8,
            any_length=True,
        ),
        ModelSpec(
            name="pet_cgdnn",
            title="PET-CGDNN",
            year=2021,
            source="Zhang et al., IEEE Commun. Lett.",
            target="amc_core.models.pet_cgdnn:PETCGDNN",
            min_length=12,
            any_length=False,
        ),
        ModelSpec(
            name="iqformer",
            title="IQFormer",
            year=2025,
            source="Shao et al., IEEE Trans. Cogn. Commun. Netw.",
            target="amc_core.models.iqformer:IQFormer",
            min_length=31,
            any_length=True,
            parts=("head", "statistics"),
            hyperparameters={
                "stages": Field("2-3-2", choices=("2-3-2", "3-3-3", "1-2-1"), help="Blocks of the three stages."),
                "spectrogram": Field(
                    "real", choices=("real", "magnitude"), help="The part of the spectrogram that the network sees."
                ),
            },
        ),
        ModelSpec(
            name="amc_net",
            title="AMC-Net",
            year=2023,
            source="Zhang et al., ICASSP",
            target="amc_core.models.amc_net:AMCNet",
            min_length=8,
            any_length=False,
            parts=("head", "statistics"),
        ),
        ModelSpec(
            name="mcformer",
            title="MCformer",
            year=2021,
            source="Hamidi-Rad and Jain, GLOBECOM",
            target="amc_core.models.mcformer:MCformer",
            min_length=8,
            any_length=True,
            hyperparameters={"size": Field("large", choices=("large", "small"), help="The published variant.")},
        ),
        ModelSpec(
            name="gru2",
            title="GRU2",
            year=2017,
            source="Hong et al., ICCC",
            target="amc_core.models.gru2:GRU2",
            min_length=8,
            any_length=True,
        ),
        ModelSpec(
            name="cldnn",
            title="CLDNN",
            year=2017,
            source="West and O'Shea, DySPAN",
            target="amc_core.models.cldnn:CLDNN",
            min_length=10,
            any_length=False,
        ),
        ModelSpec(
            name="cldnn2",
            title="CLDNN2",
            year=2017,
            source="Liu et al., Asilomar",
            target="amc_core.models.cldnn2:CLDNN2",
            min_length=9,
            any_length=False,
        ),
        ModelSpec(
            name="mcnet",
            title="MCNet",
            year=2020,
            source="Huynh-The et al., IEEE Commun. Lett.",
            target="amc_core.models.mcnet:MCNet",
            min_length=8,
            any_length=True,
        ),
        ModelSpec(
            name="scrnn",
            title="SCRNN",
            year=2021,
            source="Liao et al., IEEE Access",
            target="amc_core.models.scrnn:SCRNN",
            min_length=19,
            any_length=False,
        ),
        ModelSpec(
            name="fea_t",
            title="FEA-T",
            year=2023,
            source="Chen et al., IEEE Commun. Lett.",
            target="amc_core.models.fea_t:FEAT",
            min_length=32,
            any_length=False,
            hyperparameters={
                "frame": Field(32, 1, 1024, unit="samples", help="Samples of a frame."),
                "step": Field(16, 1, 1024, unit="samples", help="Samples from one frame to the next."),
                "layers": Field(8, 1, 32, help="Layers of the encoder."),
                "inner": Field(128, 1, 1024, help="Width of the feed-forward layers."),
            },
        ),
        ModelSpec(
            name="ic_amcnet",
            title="IC-AMCNet",
            year=2020,
            source="Hermawan et al., IEEE Commun. Lett.",
            target="amc_core.models.ic_amcnet:ICAMCNet",
            min_length=8,
            any_length=False,
        ),
        ModelSpec(
            name="cgdnet",
            title="CGDNet",
            year=2021,
            source="Njoku et al., IEEE Networking Lett.",
            target="amc_core.models.cgdnet:CGDNet",
            min_length=16,
            any_length=False,
        ),
        ModelSpec(
            name="dae",
            title="DAE",
            year=2022,
            source="Ke and Vikalo, IEEE Trans. Wireless Commun.",
            target="amc_core.models.dae:DAE",
            min_length=8,
            any_length=True,
            parts=("head", "statistics"),
        ),
        ModelSpec(
            name="resnet_liu",
            title="ResNet (Liu)",
            year=2017,
            source="Liu et al., Asilomar",
            target="amc_core.models.resnet_liu:ResNetLiu",
            min_length=8,
            any_length=False,
            feature_maps=("features",),
        ),
        ModelSpec(
            name="densenet_liu",
            title="DenseNet (Liu)",
            year=2017,
            source="Liu et al., Asilomar",
            target="amc_core.models.densenet_liu:DenseNetLiu",
            min_length=8,
            any_length=False,
        ),
        ModelSpec(
            name="xcit1d_nano",
            title="XCiT1D-nano",
            year=2022,
            source="Boegner et al., arXiv 2207.09918; El-Nouby et al., NeurIPS",
            target="amc_core.models.xcit1d_nano:XCiT1DNano",
            min_length=16,
            any_length=True,
            parts=("head", "statistics"),
            hyperparameters={"patch": Field(16, 2, 64, unit="samples", help="Samples of a patch.")},
        ),
    )
}
