from tests.damage.outcomes import main

main()
