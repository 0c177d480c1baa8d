from web.hooks.queue import main  # python -m web.queue

if __name__ == "__main__":
    raise SystemExit(main())
