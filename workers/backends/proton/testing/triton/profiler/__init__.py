from . import mode
from .profile import finalize, profile, start
