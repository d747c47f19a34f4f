# A warning a reader would see stops the build; a page that means one shows it by catching it.
# These are Python's own filters with "error" where they say "default".
import warnings

warnings.simplefilter("error")
for unseen in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
    warnings.simplefilter("ignore", unseen)
warnings.filterwarnings("error", category=DeprecationWarning, module="__main__|lossopt")
del unseen, warnings
