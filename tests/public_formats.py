"""Small samples of public formats, written as their owners lay the files out; the contents are made up."""

import gzip
import json
from pathlib import Path

from PIL import Image

NEWS = (
    'N1\tsports\tgolf\tThe "new" swing\tHow it is done.\thttps://assets.msn.com/labs/mind/1.html\t'
    '[{"Label": "Golf", "Type": "J", "WikidataId": "Q5377", "Confidence": 1.0, "OccurrenceOffsets": [0]}]\t[]\n'
    "N2\tnews\tnewsworld\tAn island, renamed\t\thttps://assets.msn.com/labs/mind/2.html\t[]\t[]\n"  # no abstract
)
MORE_NEWS = "N3\tlifestyle\tpets\tCats\tOf the week.\thttps://assets.msn.com/labs/mind/3.html\t[]\t[]\n"


def write_mind(folder: Path) -> Path:
    """Train and dev, beside each other: one user with a history that grows, one without a history."""
    _write(
        folder / "MINDsmall_train",
        {
            "news.tsv": NEWS + MORE_NEWS,
            "behaviors.tsv": "1\tU13740\t11/11/2019 9:05:58 AM\tN2 N1\tN3-1 N1-0\n"
            "2\tU13740\t11/12/2019 6:11:30 PM\tN2 N1\tN1-0 N2-0\n"
            "3\tU91836\t11/12/2019 12:00:00 AM\t\tN2-0 N1-1 N3-1\n",
            "entity_embedding.vec": "Q5377\t0.1\t0.2\n",
            "relation_embedding.vec": "P31\t0.1\t0.2\n",
        },
    )
    dev = "1\tU13740\t11/15/2019 8:55:22 AM\tN2 N1 N3 N2\tN1-1\n"
    _write(folder / "MINDsmall_dev", {"news.tsv": NEWS + MORE_NEWS, "behaviors.tsv": dev})
    return folder


def write_amazon2023(folder: Path) -> Path:
    """Reviews with an exact repeat, and products with and without features, description and photos; both compressed."""
    review = {
        "rating": 5.0,
        "title": "Such a lovely scent",
        "text": 'Smells "nice"\n',
        "images": [{"small_image_url": "https://m.media-amazon.com/s.jpg", "attachment_type": "IMAGE"}],
        "asin": "B00YQ6X8EO",
        "parent_asin": "B00YQ6X8EO",
        "user_id": "AGKHLEW2SOWHNMFQIJGBECAF7INQ",
        "timestamp": 1588687728923,
        "helpful_vote": 0,
        "verified_purchase": True,
    }
    later = {**review, "rating": 2.0, "asin": "0123456789X", "parent_asin": "0123456789", "timestamp": 1588692728923}
    photo = {"thumb": "https://example.org/t.jpg", "large": "https://example.org/l.jpg", "variant": "PT01", "hi_res": None}
    product = {
        "main_category": "All Beauty",
        "title": "Hair spray",
        "average_rating": 4.3,
        "rating_number": 384,
        "features": ["All day hold", "Sulfate free"],
        "description": ["If given the choice, you would.", "Made with salt."],
        "price": 14.5,
        "images": [photo, {**photo, "variant": "MAIN", "large": "https://example.org/main.jpg"}],
        "videos": [],
        "store": "HIMBERRY",
        "categories": [],
        "details": {"Brand": "HIMBERRY", "Hair Type": "Curly"},
        "parent_asin": "B00YQ6X8EO",
        "bought_together": None,
    }
    bare = {**product, "title": "Comb", "features": [], "description": [], "price": None, "images": [], "details": {}}
    _write(
        folder,
        {
            "All_Beauty.jsonl.gz": _lines(later, review, review),
            "meta_All_Beauty.jsonl.gz": _lines(product, {**bare, "parent_asin": "0123456789"}),
        },
    )
    return folder


def write_hm(folder: Path, *, images: bool = True) -> Path:
    """Purchases with prices and a repeat on one day; articles with leading zeros, one without a photo or a description."""
    buyer, other = "000058a12d5b43e67d225668fa1f8d618c13dc232df0cad8ffe7ad4a1091e318", f"{'0' * 63}f"
    columns = (
        "article_id,product_code,prod_name,product_type_no,product_type_name,product_group_name,graphical_appearance_no,"
        "graphical_appearance_name,colour_group_code,colour_group_name,perceived_colour_value_id,"
        "perceived_colour_value_name,perceived_colour_master_id,perceived_colour_master_name,department_no,"
        "department_name,index_code,index_name,index_group_no,index_group_name,section_no,section_name,"
        "garment_group_no,garment_group_name,detail_desc"
    )
    between = "4,Dark,5,Black,1676,Jersey Basic,A,Ladieswear,1,Ladieswear,16,Womens Everyday Basics,1002,Jersey Basic"
    _write(
        folder,
        {
            "transactions_train.csv": "t_dat,customer_id,article_id,price,sales_channel_id\n"
            f"2018-09-20,{buyer},0108775044,0.0508305084745762,2\n"
            f"2018-09-20,{buyer},0108775015,0.0304915254237288,2\n"
            f"2018-09-20,{buyer},0108775015,0.0304915254237288,2\n"
            f"2018-09-24,{other},0108775015,0.0304915254237288,1\n",
            "articles.csv": f"{columns}\n"
            f"0108775015,0108775,Strap top,253,Vest top,Garment Upper body,1010016,Solid,09,Black,{between},"
            '"Jersey top with narrow shoulder straps, and a ""quote""."\n'
            f"0108775044,0108775,Strap top,253,Vest top,Garment Upper body,1010016,Solid,10,White,{between},\n",
            "customers.csv": "customer_id,FN,Active,club_member_status,fashion_news_frequency,age,postal_code\n",
        },
    )
    if images:
        (folder / "images" / "010").mkdir(parents=True)
        Image.new("RGB", (30, 40), "black").save(folder / "images" / "010" / "0108775015.jpg")
    return folder


def _lines(*rows: dict[str, object]) -> bytes:
    return gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())


def _write(folder: Path, files: dict[str, str | bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
