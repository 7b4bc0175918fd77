from .api.gamma import Gamma as Gamma
from .api.gamma import gamma as gamma
from .api.gamma_callback import GammaCallback as GammaCallback
from .api.judge import judge as judge
from .api.measure import measure as measure
from .api.regularized_model import RegularizedModel as RegularizedModel
from .api.saved_run import SavedRun as SavedRun
from .api.saved_run import load_run as load_run
from .errors import InputError as InputError
from .measures.base import register_measure as register_measure
from .measures.gamma import SingularGramError as SingularGramError
from .measures.gamma import log_volume as log_volume
from .measures.gram.engine import gram_matrix as gram_matrix
from .measures.value import MeasureValue as MeasureValue
from .training.regularizers.base import RegularizerTerm as RegularizerTerm
from .training.regularizers.fisher_trace import FisherTrace as FisherTrace
from .training.regularizers.gradient_norm import GradientNorm as GradientNorm
from .training.regularizers.local_minimum import LocalMinimum as LocalMinimum
from .training.regularizers.sam import SAM as SAM
from .training.step import train_step as train_step

__version__: str
