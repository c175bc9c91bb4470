"""F5: the same event delivered twice changes every aggregate once, and every view once."""

from tests.acceptance.shop import SUBSCRIBERS, Shop
from tests.acceptance.shop_judge import ShopJudge


def test_f5_everything_is_delivered_again_and_nothing_changes(shop: Shop) -> None:
    customer = shop.create_customer("100")
    shop.place_order(customer, "60")
    shop.place_order(customer, "60")
    shop.place_order("nobody", "60")
    order = shop.place_order(customer, "40")
    shop.wait_for_state(order, "APPROVED")
    shop.cancel(order)
    shop.settle()
    log = shop.log()
    document = shop.customer_history(customer)
    emails = {path: path.stat().st_mtime_ns for path in shop.outbox.iterdir()}
    assert emails

    for name in SUBSCRIBERS:
        shop.subscription(name, "pause")
        # The lag is what is going to be delivered again.
        assert shop.subscription(name, "reset", to="beginning").lag > 0
        shop.subscription(name, "resume")
    shop.settle()

    assert shop.log() == log
    assert shop.customer_history(customer) == document
    judge = ShopJudge()
    judge.read(log)
    for each in judge.customers:
        judge.check_history(shop.customer_history(each))
    assert {path: path.stat().st_mtime_ns for path in shop.outbox.iterdir()} == emails
