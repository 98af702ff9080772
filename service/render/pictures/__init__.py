"""Pictures of puzzles and answers: laid out once, then drawn as SVG or as PNG."""

from service.render.pictures.files import answer_svg, draw_answer
from service.render.pictures.svg import drawable

__all__ = ["answer_svg", "draw_answer", "drawable"]
