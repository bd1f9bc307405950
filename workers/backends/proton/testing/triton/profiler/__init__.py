from . import mode
from .profile import finalize, start
