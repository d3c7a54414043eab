"""Documents: the regions of a page (PP layout, CDLA classes), and the cells of a table (SLANet)."""

from vista_fast.models.documents.config import DocumentConfig
from vista_fast.models.documents.layout import LayoutModel, Regions
from vista_fast.models.documents.table import TableModel, TableStructure

__all__ = ["DocumentConfig", "LayoutModel", "Regions", "TableModel", "TableStructure"]
